"""Each kind of mistake is named, on its line, with what would be right; and all of them in one pass."""

from pathlib import Path

import pytest

from infra.config.assembly import assembled
from infra.config.document import opened, parsed
from infra.config.mistakes import ConfigError
from infra.settings import Settings
from infra.topology import embedded_topology, load_topology

BACKEND = '[backends.b]\nmodel = "m"\nbase_url = "http://x:1/v1"\n'


def mistakes(source: str) -> list[str]:
    """What is said of a document, each with its line."""
    with pytest.raises(ConfigError) as failed:
        assembled(parsed(source), embedded_topology(Settings()))
    return [found.told("f").removeprefix("f:") for found in failed.value.mistakes]


def only_after(head: str, addition: str) -> str:
    """The one thing that is said of what follows a head that is good, its line counted from there."""
    (mistake,) = mistakes(head + addition)
    line, _, text = mistake.partition(": ")
    return f"{int(line) - head.count(chr(10))}: {text}"


@pytest.mark.parametrize(
    ("addition", "told"),
    [
        ("slots = 0", "1: backends.b.slots: an integer from 1 to 10000 is wanted, not 0"),
        ("slots = true", "1: backends.b.slots: an integer from 1 to 10000 is wanted, not a boolean"),
        ("slots = 1.5", "1: backends.b.slots: an integer from 1 to 10000 is wanted, not a float"),
        ("\nwindow_tokens = -1", "2: backends.b.window_tokens: an integer of at least 1 is wanted, not -1"),
        (
            "slot = 3",
            '1: backends.b.slot: "slot" is an unknown key; did you mean "slots"? allowed: api_key_env,'
            " base_url, capabilities, dialect, kind, locality, model, pool, price, resident, slots, thinking,"
            " window_tokens",
        ),
        ("max_model_len = 3", '1: backends.b.max_model_len: "max_model_len" is an unknown key; did you mean'),
        ('"a b" = 3', '1: backends.b."a b": "a b" is an unknown key; allowed: api_key_env, base_url,'),
        (
            'kind = "open_ai"',
            '1: backends.b.kind: "open_ai" is unknown; did you mean "openai"? allowed: anthropic, openai',
        ),
        ("kind = 3", "1: backends.b.kind: a string is wanted, not an integer"),
        ("kind = ''", "1: backends.b.kind: a string is wanted, not an empty one"),
        (
            'dialect = "vlm"',
            '1: backends.b.dialect: "vlm" is unknown; did you mean "vllm"? allowed: deepseek',
        ),
        ('thinking = "some"', '1: backends.b.thinking: "some" is unknown; allowed: default, high, low, max,'),
        (
            'capabilities = [\n "tools",\n "tool",\n]',
            '3: backends.b.capabilities[1]: "tool" is unknown; did you mean "tools"? allowed: json_schema,',
        ),
        ('capabilities = ["tools", "tools"]', '1: backends.b.capabilities[1]: "tools" stands here twice'),
        ('capabilities = "tools"', "1: backends.b.capabilities: an array is wanted, not a string"),
        ("capabilities = [1]", "1: backends.b.capabilities[0]: a string is wanted, not an integer"),
        (
            'locality = "clod"',
            '1: backends.b.locality: "clod" is unknown; did you mean "cloud"? allowed: cloud',
        ),
        ('locality = "cloud"', "-2: backends.b: a cloud backend needs api_key_env"),
        ('pool = "turns"', '1: backends.b.pool: a pool is a task queue named "llm-…"'),
        (
            'api_key_env = "my key"',
            "1: backends.b.api_key_env: the name of an environment variable is wanted",
        ),
        ("price = 3", "1: backends.b.price: a table is wanted, not an integer"),
        (
            "price = { input_usd = 1, output_usd = 2 }",
            "1: backends.b.price: read_on is missing: a price is input_usd, output_usd and the date read_on",
        ),
        (
            'price = { input_usd = 1, output_usd = 2, read_on = "lately" }',
            "1: backends.b.price.read_on: a date such as 2026-11-23 is wanted",
        ),
        (
            "[backends.b.price]\ninput_usd = -1\noutput_usd = 1\nread_on = 2026-11-01",
            "2: backends.b.price.input_usd: a number of at least 0 is wanted, not -1",
        ),
        (
            "[backends.b.price]\ninput_usd = 1\noutput_usd = nan\nread_on = 2026-11-01",
            "3: backends.b.price.output_usd: a number of at least 0 is wanted, not nan",
        ),
        (
            "price = { input_usd = 1, output_usd = 2, read_on = 2026-11-01, cached = 1 }",
            '1: backends.b.price.cached: "cached" is an unknown key; allowed: cached_input_usd, input_usd',
        ),
    ],
)
def test_in_a_backend(addition: str, told: str) -> None:
    assert only_after(BACKEND, addition).startswith(told)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ('"x:1/v1"', "a URL that begins with http:// or https:// is wanted"),
        ('"ftp://x/v1"', "a URL that begins with http:// or https:// is wanted"),
        ('"http://"', "this URL has no valid host"),
        ('"http://a..b/"', "this URL has no valid host"),
        ('"http://a b/"', "this URL has no valid host"),
        ('"http://x:0/"', "this URL has no valid host"),
        ('"http://x:99999/"', "this is not a URL"),
        ('"http://[::1/"', "this is not a URL"),
        ('"http://x/v1?key=1"', "a base URL ends with its path, without query or fragment"),
        ('"http://me:hunter2@x/v1"', "a URL must not hold a user name or password"),
        ("1", "a string is wanted, not an integer"),
    ],
)
def test_in_a_base_url(url: str, told: str) -> None:
    (mistake,) = mistakes(f'[backends.b]\nmodel = "m"\nbase_url = {url}')
    assert mistake.startswith(f"3: backends.b.base_url: {told}")
    assert "hunter2" not in mistake


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("[backends.b]\nbase_url = 'http://x/v1'", ["1: backends.b: model is missing"]),
        ("\n[backends.b]\nmodel = 'm'", ["2: backends.b: base_url is missing"]),
        ("[backends]\nb = 3", ["2: backends.b: a table is wanted, not an integer"]),
        ("backends = []", ["1: backends: a table is wanted, not an array"]),
        (
            "[backends.'a b']\nmodel = 'm'\nbase_url = 'http://x/v1'",
            ['1: backends."a b": a name is made of up to 64 letters, digits, dots, dashes and underscores'],
        ),
        (
            "[backends.b]\nmodel = 'm'\nbase_url = 'https://llm.example.com/v1'",
            [
                "1: backends.b: a cloud backend needs api_key_env,"
                ' or locality = "local" if it stands in the building'
            ],
        ),
        (
            "[backends.b]\nmodel = 'm'\nbase_url = 'https://api.openai.com/v1'\nlocality = 'local'",
            ['4: backends.b.locality: openai.com is not in the building: locality must be "cloud"'],
        ),
        (
            "[backends.b]\nmodel = 'm'\nbase_url = 'http://x/v1'\nkind = 'anthropic'\ndialect = 'vllm'",
            [
                "3: backends.b.base_url: Anthropic's client adds /v1 itself: leave it out",
                '5: backends.b.dialect: only backends of kind = "openai" have a dialect',
            ],
        ),
        (
            "[backends.b]\nmodel = 'auto:b'\nbase_url = 'http://x/v1'",
            ['2: backends.b.model: "auto:b" is how turns ask for a ladder'],
        ),
        (
            "[backends.auto]\nmodel = 'm'\nbase_url = 'http://x/v1'",
            ['1: backends.auto: "auto" is how turns ask for the default ladder'],
        ),
        (
            "[backends.b]\nmodel = 'all-minilm-l6-v2'\nbase_url = 'http://x/v1'",
            ['2: backends.b.model: "all-minilm-l6-v2" is the embedding model already'],
        ),
        (
            f"{BACKEND}[backends.c]\nmodel = 'm'\nbase_url = 'http://y/v1'",
            [
                '5: backends.c.model: "m" is the model of backend "b" too, so a turn pinned to it could not'
                " tell which: let both share a pool, or rename one"
            ],
        ),
        (
            f"{BACKEND}[backends.c]\nmodel = 'b'\nbase_url = 'http://y/v1'",
            [
                '5: backends.c.model: "b" is the name of backend "b" too, so a turn pinned to it could not'
                " tell which: let both share a pool, or rename one"
            ],
        ),
        (
            f"{BACKEND}[backends.c]\nmodel = 'n'\nwindow_tokens = 9\npool = 'llm-b'\nbase_url = 'http://y/v1'",
            [
                '5: backends.c.model: "b" is in the same pool, so model must be the same: m, not n',
                '6: backends.c.window_tokens: "b" is in the same pool, so window_tokens must be the same:'
                " 8192, not 9",
            ],
        ),
    ],
)
def test_of_a_backend_and_beside_others(source: str, told: list[str]) -> None:
    assert mistakes(source) == told


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("a = 1\nb = \n", "2:5: "),
        ("[a]\nx = 1\n[a]\n", "3:3: "),
        ('a = "x', "1:7: "),
        ("a = 1\nb = [1,\n\n", "2:8: "),
        ("a = 1 b = 2", "1:7: "),
    ],
)
def test_of_syntax_have_line_and_column(source: str, told: str) -> None:
    (mistake,) = mistakes(source)
    assert mistake.startswith(f"{told}not TOML: ")
    assert "(at " not in mistake


def test_all_are_told_in_one_pass_in_the_order_of_their_lines() -> None:
    source = """default_ladder = "none"
[backends.b]
modle = "m"
base_url = "nowhere"
slots = 0
[ladders.x]
answer = ["b", "c"]
reason = [{ backend = "b", patience = "soon" }]
[effort]
offer_from = "seven"
[monye]
"""
    lines = [int(told.partition(":")[0]) for told in mistakes(source)]
    assert lines == [1, 2, 3, 4, 5, 7, 8, 10, 11]


def test_a_backend_that_cannot_be_read_is_still_known_to_rungs() -> None:
    assert mistakes('[backends]\nb = 1\n[ladders.x]\nanswer = ["b"]') == [
        "2: backends.b: a table is wanted, not an integer"
    ]


@pytest.mark.parametrize(
    "source",
    [
        "api_key = 'sk-hunter2'",
        "token = 'sk-hunter2'",
        "api_key_env = 'sk-hunter2'",
        "pool = 'sk-hunter2'",
    ],
)
def test_what_may_be_a_secret_is_not_quoted(source: str) -> None:
    (mistake,) = mistakes(BACKEND + source)
    assert "hunter2" not in mistake
    assert "api_key_env" in mistake or "pool" in mistake


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml: No such file or directory"):
        load_topology(Settings(config_file=tmp_path / "none.toml"))
    (tmp_path / "bytes.toml").write_bytes(b"a = 1\nb = '\xff'\n")
    with pytest.raises(ConfigError, match=r"bytes\.toml:2: this is not UTF-8"):
        opened(tmp_path / "bytes.toml")
