"""What a file comes to: laid over the default, or the default itself; and the example for production."""

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest

from activities.contracts.backends import Backend, Locality, Price
from activities.contracts.policy import (
    ApproveCloud,
    BreakerRules,
    Caps,
    EffortBands,
    RepeatRules,
    TurnPolicy,
)
from activities.contracts.topology import Reference, RouterKind, Topology
from infra.config.assembly import assembled
from infra.config.cautions import cautions
from infra.config.document import opened, parsed
from infra.settings import Settings
from infra.topology import embedded_topology, load_topology
from workflows.policy.ladder import begin
from workflows.policy.models import ladder_for, ladder_terms, model_names
from workflows.policy.plans import plan_for

PRODUCTION = Path(__file__).parents[2] / "infra" / "deploy" / "aither.production.toml"
DEFAULT = embedded_topology(Settings())
CLOUD = """
[backends.deepseek]
dialect = "deepseek"
base_url = "https://api.deepseek.com/"
model = "deepseek-v4-pro"
api_key_env = "DEEPSEEK_API_KEY"
price = { input_usd = 0.66, cached_input_usd = 0.022, output_usd = 1.98, read_on = 2026-11-01 }
"""


def read(source: str) -> Topology:
    """The topology of a document without mistakes."""
    return assembled(parsed(source), DEFAULT)


@pytest.fixture
def production() -> Topology:
    return load_topology(Settings(config_file=PRODUCTION))


def test_no_file_is_the_embedded_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_topology(Settings()) == DEFAULT
    (tmp_path / "aither.toml").touch()
    assert load_topology(Settings()) == DEFAULT


def test_the_file_of_the_working_directory_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "aither.toml").write_text("[effort]\noffer_from = 5")
    assert load_topology(Settings()).bands.offer_from == 5
    (tmp_path / "other.toml").write_text("[effort]\noffer_from = 6")
    monkeypatch.setenv("AITHER_CONFIG_FILE", "other.toml")
    assert load_topology(Settings()).bands.offer_from == 6


def test_a_cloud_reason_chain_keeps_the_embedded_orchestrator() -> None:
    topology = read(f'{CLOUD}[ladders.auto]\nreason = ["deepseek"]')
    (ladder,) = topology.ladders
    assert ladder.answer == DEFAULT.ladders[0].answer
    (rung,) = ladder.reason
    assert (rung.name, rung.pool, rung.model) == ("deepseek", "llm-deepseek", "deepseek-v4-pro")
    assert rung.locality is Locality.CLOUD
    assert [backend.name for backend in topology.backends] == ["orchestrator", "deepseek"]
    assert topology.backend("orchestrator") == DEFAULT.backend("orchestrator")
    assert topology.backend("deepseek").base_url == "https://api.deepseek.com"
    assert topology.backend("deepseek").price == Price(
        input_usd=0.66, cached_input_usd=0.022, output_usd=1.98, read_on="2026-11-01"
    )


def test_another_orchestrator_takes_the_place_of_the_embedded_one() -> None:
    topology = read('[backends.orchestrator]\nmodel = "m"\nbase_url = "http://127.0.0.1:1/v1"\nslots = 3')
    (rung,) = topology.ladders[0].answer
    assert (rung.backend, rung.model) == ("orchestrator", "m")
    assert [backend.slots for backend in topology.backends] == [3]


def test_the_embedded_orchestrator_goes_where_no_rung_names_it() -> None:
    topology = read(f'{CLOUD}[ladders.auto]\nanswer = ["deepseek"]')
    assert [backend.name for backend in topology.backends] == ["deepseek"]


def test_another_default_ladder_takes_the_place_of_the_embedded_one() -> None:
    topology = read(f'default_ladder = "c"\n{CLOUD}[ladders.c]\nreason = ["deepseek"]\n[ladders.d]')
    assert model_names(topology)[:2] == ("auto", "auto:d")
    assert ladder_for(topology, "auto") == ladder_for(topology, "auto:c")
    also = read(f'{CLOUD}[ladders.c]\nreason = ["deepseek"]')
    assert model_names(also)[:2] == ("auto", "auto:c")


def test_rungs_have_their_own_times_names_and_pools() -> None:
    topology = read(f"""{CLOUD}
[[ladders.auto.reason]]
backend = "deepseek"
name = "deep"
patience = "250ms"
call_timeout = "1.5h"
pool = "llm-clouds"
""")
    rung = topology.ladders[0].reason[0]
    assert (rung.name, rung.backend, rung.pool) == ("deep", "deepseek", "llm-clouds")
    assert (rung.patience, rung.call_timeout) == (timedelta(seconds=0.25), timedelta(hours=1.5))
    assert topology.backend("deepseek").queue == "llm-clouds"


def test_backends_that_share_a_pool_serve_one_model_together() -> None:
    topology = read("""
[backends.a]
base_url = "http://a:1/v1"
model = "m"
slots = 2
[backends.b]
base_url = "http://b:1/v1"
model = "m"
slots = 3
pool = "llm-a"
[ladders.auto]
answer = ["a"]
""")
    pools = topology.pools()
    assert {pool: [b.name for b in members] for pool, members in pools.items()} == {"llm-a": ["a", "b"]}
    ladder = ladder_for(topology, "m")
    assert ladder and [rung.pool for rung in ladder.answer] == ["llm-a"]
    assert model_names(topology) == ("auto", "m")


def test_a_model_on_no_ladder_can_be_pinned_and_its_pool_is_served() -> None:
    topology = read(CLOUD)
    ladder = ladder_for(topology, "deepseek-v4-pro")
    assert ladder and [rung.pool for rung in ladder.answer] == ["llm-deepseek"] and not ladder.reason
    assert "llm-deepseek" in topology.pools()
    assert ladder_for(topology, "deepseek-v4") is None


@pytest.mark.parametrize(
    ("section", "aging"),
    [
        ("", timedelta(seconds=60)),
        ("[scheduling]", timedelta(seconds=60)),
        ('[scheduling]\naging = "2m"', timedelta(minutes=2)),
        ('[scheduling]\naging = "0s"', None),
        ('[scheduling]\naging = "off"', None),
    ],
)
def test_a_call_ages_unless_that_is_off_and_its_turns_plan_says_how_fast(
    section: str, aging: timedelta | None
) -> None:
    topology = read(f"{CLOUD}\n{section}")
    assert topology.aging == aging
    assert plan_for(topology, topology.ladders[0], 3).aging == aging


def test_rules() -> None:
    topology = read(f"""{CLOUD}
[effort]
offer_from = 6
require_from = 11
router = "model"
default = 4
[breaker]
failures_in_row = 2
rate = 1
first_open = "500ms"
calm = "0s"
[repeats]
times = 0
longest = "3s"
[scheduling]
aging = "90s"
[money]
turn_usd = 0
tenant_day_usd = 1.5
reference = "deepseek"
[policy]
local_only = true
compose = true
approve_cloud = true
approve_above_usd = 0.1
allowed_backends = []
allowed_models = ["deepseek-v4-pro"]
[approvals]
patience = "4m"
""")
    assert topology.bands == EffortBands(offer_from=6, require_from=11)
    assert (topology.router, topology.default_effort) == (RouterKind.MODEL, 4)
    assert topology.breaker == BreakerRules(failures_in_row=2, rate=1.0, first_open_s=0.5, calm_s=0.0)
    assert topology.repeats == RepeatRules(times=0, longest=timedelta(seconds=3))
    assert topology.aging == timedelta(seconds=90)
    assert topology.approval_patience == timedelta(minutes=4)
    assert topology.turn_policy == TurnPolicy(
        local_only=True,
        compose=True,
        approve_cloud=ApproveCloud.ASK,
        approve_above_usd=0.1,
        allowed_backends=(),
        allowed_models=("deepseek-v4-pro",),
        caps=Caps(turn_usd=0.0, tenant_day_usd=1.5),
    )
    price = topology.backend("deepseek").price
    assert price and topology.reference == Reference(model="deepseek-v4-pro", price=price)


def test_a_reference_may_be_no_backend() -> None:
    price = '{ model = "gpt", input_usd = 2, output_usd = 10, read_on = "2026-11-01" }'
    topology = read(f"[money]\nreference = {price}")
    assert topology.reference == Reference(
        model="gpt", price=Price(input_usd=2.0, output_usd=10.0, read_on="2026-11-01")
    )


@pytest.mark.parametrize(
    ("url", "locality"),
    [
        ("http://127.0.0.1:1/v1", "local"),
        ("http://localhost/v1", "local"),
        ("http://dgx-spark:8120/v1", "local"),
        ("http://gpu.office.lan/v1", "local"),
        ("http://box.tail1234.ts.net/v1", "local"),
        ("http://192.168.1.4/v1", "local"),
        ("http://100.101.102.103:8000/v1", "local"),
        ("http://[fd00::1]:8000/v1", "local"),
        ("http://8.8.8.8/v1", "cloud"),
        ("http://[2606:4700::1111]/v1", "cloud"),
        ("https://llm.example.com/v1", "cloud"),
        ("https://api.openai.com./v1", "cloud"),
        ("https://localhost.example.com/v1", "cloud"),
    ],
)
def test_what_may_stand_outside_is_taken_for_cloud(url: str, locality: str) -> None:
    topology = read(f'[backends.b]\nmodel = "m"\nbase_url = "{url}"\napi_key_env = "KEY"')
    assert topology.backend("b").locality == locality


def test_the_production_example(production: Topology) -> None:
    ports = {b.name: b.base_url for b in production.backends if b.locality is Locality.LOCAL}
    assert [(name, url[-7:-3]) for name, url in ports.items()] == [
        ("orchestrator-8b", "8199"),
        ("reasoner", "8120"),
        ("swap", "8176"),
        ("swap-gemma", "8177"),
    ]
    assert (production.backend("orchestrator-8b").slots, production.backend("reasoner").slots) == (16, 10)
    assert production.backend("reasoner").window_tokens == 131072
    auto = ladder_for(production, "auto")
    private = ladder_for(production, "auto:private")
    assert auto and private and ladder_for(production, "auto:coding")
    assert auto.answer[0].backend == "orchestrator-8b"
    assert [rung.backend for rung in auto.reason] == [
        "reasoner",
        "swap",
        "deepseek-pro",
        "claude",
        "openai",
        "gemini",
    ]
    assert {rung.locality for rung in (*private.answer, *private.reason)} == {Locality.LOCAL}
    clouds = [backend for backend in production.backends if backend.locality is Locality.CLOUD]
    assert all(backend.price and backend.api_key_env for backend in clouds)


def test_every_ladder_of_the_production_example_can_be_climbed(production: Topology) -> None:
    for name in model_names(production):
        ladder = ladder_for(production, name)
        assert ladder
        begin(plan_for(production, ladder, 9))
        assert {terms.backend for terms in ladder_terms(production, ladder)} == {
            rung.backend for rung in (*ladder.answer, *ladder.reason)
        }


def test_the_production_example_is_read_on_days_that_have_been(production: Topology) -> None:
    env = {b.api_key_env: "x" for b in production.backends if b.api_key_env}
    assert list(cautions(production, env, date(2026, 11, 23))) == []


def test_cautions_stand_on_their_lines() -> None:
    document = parsed(
        f'{CLOUD}[backends.bare]\nmodel = "m"\nbase_url = "https://x.example/v1"\napi_key_env = "X"'
    )
    topology = assembled(document, DEFAULT)
    env = {"DEEPSEEK_API_KEY": " "}
    found = [f"{m.line}: {m.text}" for m in document.placed(cautions(topology, env, date(2027, 2, 1)))]
    assert found == [
        "6: backends.deepseek.api_key_env: the environment variable DEEPSEEK_API_KEY is not set here",
        "7: backends.deepseek.price: this price was read 92 days ago, on 2026-11-01: read it again",
        "11: backends.bare.api_key_env: the environment variable X is not set here",
        "8: backends.bare: without a price, a turn whose money is capped passes this backend over",
    ]
    early = [c.text for c in cautions(topology, {"DEEPSEEK_API_KEY": "x", "X": "x"}, date(2026, 10, 1))]
    assert early[0] == "this price was read on 2026-11-01, which is yet to come"


def test_a_topology_that_is_made_by_hand_needs_no_rules() -> None:
    backend = Backend(name="b", base_url="http://x", model="m")
    topology = Topology(backends=(backend,), ladders=())
    assert topology.bands == EffortBands() and topology.turn_policy == TurnPolicy()
    assert topology.pools() == {"llm-b": (backend,)}
    assert replace(topology, default_effort=3).breaker == BreakerRules()


def test_the_file_of_the_example_is_told_by_its_place_below_the_working_directory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(PRODUCTION.parent)
    assert opened(PRODUCTION).file == PRODUCTION.name
