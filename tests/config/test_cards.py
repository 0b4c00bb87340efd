"""Cards and residents: what a file of them comes to, and each mistake in it with its line."""

from datetime import timedelta
from pathlib import Path

import pytest

from activities.contracts.cards import CardSpec, HostKind, Resident
from activities.contracts.topology import Topology
from infra.config.assembly import assembled
from infra.config.document import parsed
from infra.settings import Settings
from infra.topology import embedded_topology, load_topology
from tests.config.test_mistakes import mistakes, only_after
from workflows.policy.models import ladder_for

PRODUCTION = Path(__file__).parents[2] / "infra" / "deploy" / "aither.production.toml"
CARD = '[cards."desk/0"]\nvram_mib = 1000\nreserve_mib = 100\n'
SWAP = '[residents.one]\ncard = "desk/0"\nkind = "vllm"\nmib = 700\nbase_url = "http://127.0.0.1:1/"\n'
OTHER = '[residents.two]\ncard = "desk/0"\nkind = "process"\nmib = 600\nbase_url = "http://x:2"\ncommand = ["two"]\n'
BACKEND = '[backends.swap]\nmodel = "m"\nbase_url = "http://127.0.0.1:1/v1"\nresident = "one"\n'


def read(source: str) -> Topology:
    return assembled(parsed(source), embedded_topology(Settings()))


def test_no_cards_are_the_default() -> None:
    assert read("").cards == ()


def test_cards_and_their_residents() -> None:
    topology = read(f"""{CARD}hog = "0s"
aging = "90s"
[cards."spark.lan/1"]
vram_mib = 5
{SWAP}asleep_mib = 50
sleep_level = 2
priority = 2
idle = "0s"
start_timeout = "90s"
[residents.two]
card = "desk/0"
kind = "process"
mib = 100
base_url = "http://localhost:2"
command = ["{{python}}", "-m", "x", "--lora", "a", "--lora", "a", ""]
on_demand = false
""")
    desk, spark = topology.cards
    assert (desk.card, desk.host, desk.index, desk.vram_mib, desk.reserve_mib) == (
        *("desk/0", "desk", 0),
        *(1000, 100),
    )
    assert (desk.hog, desk.aging) == (timedelta(0), timedelta(seconds=90))
    assert spark == CardSpec(card="spark.lan/1", vram_mib=5)
    assert (spark.host, spark.index) == ("spark.lan", 1)
    one, two = desk.residents
    assert one == Resident(
        name="one",
        card="desk/0",
        kind=HostKind.VLLM,
        mib=700,
        asleep_mib=50,
        base_url="http://127.0.0.1:1",
        sleep_level=2,
        priority=2,
        idle=timedelta(0),
        start_timeout=timedelta(seconds=90),
    )
    assert two.command == ("{python}", "-m", "x", "--lora", "a", "--lora", "a", "")
    assert not two.on_demand
    assert topology.resident("two") is two


def test_a_rung_names_the_hold_that_it_needs_climbed_or_pinned() -> None:
    ladder = '[ladders.auto]\nreason = ["swap"]\n'
    topology = read(CARD + SWAP + BACKEND + ladder)
    rung = topology.ladders[0].reason[0]
    assert (rung.card, rung.resident) == ("desk/0", "one")
    pinned = ladder_for(read(CARD + SWAP + BACKEND), "m")
    assert pinned and [(rung.card, rung.resident) for rung in pinned.answer] == [("desk/0", "one")]
    answer = topology.ladders[0].answer[0]
    assert (answer.card, answer.resident) == (None, None)


def test_what_is_always_there_needs_no_hold() -> None:
    topology = read(f'{CARD}{SWAP}on_demand = false\n{BACKEND}[ladders.auto]\nreason = ["swap"]')
    assert topology.backend("swap").resident == "one"
    for model in ("auto", "m"):
        ladder = ladder_for(topology, model)
        assert ladder and all(rung.card is None for rung in (*ladder.answer, *ladder.reason))


@pytest.mark.parametrize("name", ["desk", "desk/", "/0", "desk/00", "desk/100", "de sk/0", "-d/0", "desk/a"])
def test_the_name_of_a_card(name: str) -> None:
    (mistake,) = mistakes(f'[cards."{name}"]\nvram_mib = 1')
    assert mistake.startswith("1: cards.")
    assert 'a card is named by its host and its number there, such as "desk/0"' in mistake


@pytest.mark.parametrize(
    ("addition", "told"),
    [
        ('hog = "long"', '1: cards."desk/0".hog: a duration such as'),
        ('aging = "0s"', '1: cards."desk/0".aging: a duration longer than nothing is wanted'),
        ("vram = 5", '1: cards."desk/0".vram: "vram" is an unknown key; did you mean "vram_mib"?'),
        ('[cards."desk/1"]', '1: cards."desk/1": vram_mib is missing'),
        ('[cards."desk/1"]\nvram_mib = 0', '2: cards."desk/1".vram_mib: an integer from 1 to 16777216'),
        ('[cards."desk/1"]\nvram_mib = 34359738368', '2: cards."desk/1".vram_mib: an integer from 1 to'),
        (
            '[cards."desk/1"]\nvram_mib = 5\nreserve_mib = 5',
            '3: cards."desk/1".reserve_mib: reserve_mib (5) must be less than vram_mib (5)',
        ),
    ],
)
def test_in_a_card(addition: str, told: str) -> None:
    assert only_after(CARD, addition).startswith(told)


@pytest.mark.parametrize(
    ("addition", "told"),
    [
        (
            "sleep_level = 3",
            "1: residents.one.sleep_level: an integer from 1 to 2 is wanted, not 3",
        ),
        ("priority = 0", "1: residents.one.priority: an integer from 1 to 5 is wanted, not 0"),
        ('on_demand = "yes"', "1: residents.one.on_demand: true or false is wanted, not a string"),
        ("asleep_mib = 701", "1: residents.one.asleep_mib: asleep_mib (701) must not be above mib (700)"),
        (
            'command = ["vllm"]',
            '1: residents.one.command: only a resident of kind = "process" is started by us; a vllm runs',
        ),
        (
            'on_demand = false\nidle = "5m"',
            "2: residents.one.idle: only what is on_demand rests when it is idle",
        ),
        ("vram_mib = 5", '1: residents.one.vram_mib: "vram_mib" is an unknown key; did you mean "mib"?'),
        ('model = "m"', '1: residents.one.model: "model" is an unknown key; a model belongs to the backend'),
    ],
)
def test_in_a_resident(addition: str, told: str) -> None:
    assert only_after(CARD + SWAP, addition).startswith(told)


@pytest.mark.parametrize(
    ("wrong", "right", "told"),
    [
        ('card = "desk/0"', "", "4: residents.one: card is missing"),
        ('"desk/0"', '"desk/1"', '5: residents.one.card: "desk/1" is no card; did you mean "desk/0"?'),
        ('kind = "vllm"', "", "4: residents.one: kind is missing; allowed: comfyui, process, vllm"),
        ('"vllm"', '"vlm"', '6: residents.one.kind: "vlm" is unknown; did you mean "vllm"?'),
        ('"vllm"', '"process"', "4: residents.one: command is missing: a resident of kind"),
        ("mib = 700", "", "4: residents.one: mib is missing"),
        ("mib = 700", "mib = 901", "7: residents.one.mib: 901 MiB can never fit: desk/0 has 900 MiB"),
        ("http://127.0.0.1:1/", "", "8: residents.one.base_url: a string is wanted, not an empty one"),
        ("127.0.0.1:1/", "me:hunter2@x", "8: residents.one.base_url: a URL must not hold a user name"),
        (":1/", ":1/v1", "8: residents.one.base_url: its server's root is wanted, under which /health is"),
    ],
)
def test_what_a_resident_must_say(wrong: str, right: str, told: str) -> None:
    swap = SWAP.replace(wrong, right)
    assert swap != SWAP
    found = [mistake for mistake in mistakes(CARD + swap) if mistake.startswith(told)]
    assert len(found) == 1, mistakes(CARD + swap)
    assert "hunter2" not in found[0]


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("[]", "6: residents.two.command: a command begins with the program to run"),
        ('[""]', "6: residents.two.command: a command begins with the program to run"),
        ('"vllm serve"', "6: residents.two.command: an array is wanted, not a string"),
        ('["vllm", 1]', "6: residents.two.command[1]: a string is wanted, not an integer"),
        ('["two"]\nasleep_mib = 5', "7: residents.two.asleep_mib: a process that rests has ended"),
        ('["two"]\nsleep_level = 1', '7: residents.two.sleep_level: only a resident of kind = "vllm"'),
    ],
)
def test_in_a_process(command: str, told: str) -> None:
    (mistake,) = mistakes(OTHER.replace('["two"]', command) + CARD)
    assert mistake.startswith(told)


def test_what_can_rest_makes_room_and_what_is_always_there_does_not() -> None:
    assert len(read(CARD + SWAP + OTHER).cards[0].residents) == 2
    told = mistakes(CARD + SWAP + "on_demand = false\n" + OTHER)
    assert [mistake.partition(": ")[2] for mistake in told] == [
        "residents.two.mib: 600 MiB can never fit beside the 700 of what is always there or rests: desk/0 has"
        " 900 MiB for residents"
    ]
    (asleep,) = mistakes(CARD + SWAP + "asleep_mib = 301\n" + OTHER)
    assert "residents.two.mib: 600 MiB can never fit beside the 301 of" in asleep


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://localhost:1/"])
def test_two_residents_on_one_port(url: str) -> None:
    (mistake,) = mistakes(CARD + SWAP + OTHER.replace("http://x:2", url))
    assert mistake == '13: residents.two.base_url: port 1 of 127.0.0.1 is "one"\'s already'
    elsewhere = OTHER.replace("http://x:2", url).replace("desk/0", "spark/0")
    assert len(read(f'{CARD}[cards."spark/0"]\nvram_mib = 900\n{SWAP}{elsewhere}').cards) == 2


def test_a_backend_names_a_resident_that_can_serve_it() -> None:
    (unknown,) = mistakes(CARD + SWAP + BACKEND.replace('"one"', '"onne"'))
    assert unknown.startswith('12: backends.swap.resident: "onne" is no resident; did you mean "one"?')
    (images,) = mistakes(CARD + SWAP.replace("vllm", "comfyui") + BACKEND)
    assert images == '12: backends.swap.resident: "one" makes images: it cannot serve a model'
    # One that cannot be read is told of once.
    assert len(mistakes(CARD + SWAP.replace("mib = 700", "mib = 0") + BACKEND)) == 1


def test_all_mistakes_are_told_at_once() -> None:
    told = mistakes(
        '[cards."desk/0"]\nhog = 1\n[residents."a b"]\n[residents.c]\nkind = "vllm"\ncard = "x/0"'
    )
    lines = [mistake.partition(":")[0] for mistake in told]
    assert lines == sorted(lines) and {"1", "2", "3", "4", "6"} <= set(lines)


def test_the_production_example() -> None:
    topology = load_topology(Settings(config_file=PRODUCTION))
    desk, spark = topology.cards
    assert (desk.card, spark.card) == ("desk/0", "dgx-spark/0")
    always = {each.name for card in topology.cards for each in card.residents if not each.on_demand}
    assert always == {"orchestrator-8b", "embeddings", "reasoner"}
    swaps = [topology.resident(name) for name in ("deepseek-r1-14b", "gemma-4-12b")]
    room = desk.vram_mib - desk.reserve_mib - sum(r.mib for r in desk.residents if not r.on_demand)
    assert all(swap.mib <= room for swap in swaps) and sum(swap.mib for swap in swaps) > room
    holds = {
        rung.backend: rung.resident
        for ladder in topology.ladders
        for rung in (*ladder.answer, *ladder.reason)
        if rung.card
    }
    assert holds == {"swap": "deepseek-r1-14b", "swap-gemma": "gemma-4-12b"}
