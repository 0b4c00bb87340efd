"""Whatever stands in a file, it comes to a topology or to mistakes with lines, never to a crash."""

import json
from dataclasses import fields
from typing import Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st

from activities.contracts.backends import Backend
from activities.contracts.cards import Resident
from infra.config.assembly import assembled
from infra.config.document import parsed
from infra.config.mistakes import ConfigError
from infra.settings import Settings
from infra.topology import embedded_topology
from workflows.policy.ladder import begin
from workflows.policy.models import ladder_for, model_names
from workflows.policy.plans import plan_for

DEFAULT = embedded_topology(Settings())
NAMES = ["a", "b", "orchestrator", "auto", "x y"]
TEXTS = st.sampled_from(
    [
        *NAMES,
        *("", "20s", "9h", "llm-a", "cloud", "local", "openai", "anthropic", "tools", "KEY", "2026-11-01"),
        *("http://x/v1", "https://api.openai.com/v1", "http://u:p@x", "http://[", "m", "auto:a", "rules"),
    ]
)
SCALARS = st.one_of(TEXTS, st.integers(-2, 12), st.booleans(), st.sampled_from([0.5, -1.0]))
PRICE_KEYS = ["input_usd", "output_usd", "cached_input_usd", "read_on", "model", "zzz"]
RUNG_KEYS = ["backend", "name", "patience", "call_timeout", "pool", "zzz"]
BACKEND_KEYS = [*(each.name for each in fields(Backend)), "zzz"]
RESIDENT_KEYS = [*(each.name for each in fields(Resident)), "zzz"]
CARD_KEYS = ["vram_mib", "reserve_mib", "hog", "aging", "zzz"]
CARDS = ["desk/0", "desk/1", "x y"]
RULE_KEYS = [
    *("offer_from", "require_from", "router", "default", "times", "first", "longest", "rate", "rate_calls"),
    *("rate_least", "first_open", "max_open", "calm", "turn_usd", "reference", "local_only"),
    *("allowed_models", "zzz"),
]


def tables(keys: list[str], values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.dictionaries(st.sampled_from(keys), values, max_size=6)


VALUES = st.one_of(SCALARS, st.lists(SCALARS, max_size=3), tables(PRICE_KEYS, SCALARS))
RUNGS = st.lists(st.one_of(TEXTS, tables(RUNG_KEYS, SCALARS), SCALARS), max_size=4)
LADDERS = st.fixed_dictionaries({}, optional={"answer": RUNGS, "reason": RUNGS, "zzz": SCALARS})
FINE = st.fixed_dictionaries(
    {"base_url": st.sampled_from(["http://x/v1", "http://y/v1"]), "model": st.sampled_from(["m", "n"])},
    optional={
        "slots": st.integers(1, 3),
        "pool": st.sampled_from(["llm-a", "llm-z"]),
        "resident": st.sampled_from(["a", "b"]),
    },
)
FINE_RESIDENT = st.fixed_dictionaries(
    {
        "card": st.sampled_from(CARDS[:2]),
        "kind": st.just("vllm"),
        "mib": st.integers(1, 60),
        "base_url": st.sampled_from(["http://x:1", "http://y:2"]),
    },
    optional={"on_demand": st.booleans(), "asleep_mib": st.integers(0, 9)},
)
FINE_CARD = st.fixed_dictionaries({"vram_mib": st.integers(50, 99)})
DOCUMENTS = st.fixed_dictionaries(
    {},
    optional={
        "default_ladder": TEXTS,
        "backends": st.one_of(
            tables(NAMES, FINE), tables(NAMES, st.one_of(tables(BACKEND_KEYS, VALUES), FINE)), SCALARS
        ),
        "ladders": st.one_of(tables(NAMES, st.one_of(LADDERS, SCALARS)), SCALARS),
        "cards": st.one_of(tables(CARDS, st.one_of(tables(CARD_KEYS, VALUES), SCALARS)), SCALARS),
        "residents": st.one_of(
            tables(NAMES, st.one_of(tables(RESIDENT_KEYS, VALUES), FINE_RESIDENT, SCALARS)), SCALARS
        ),
        **{
            section: st.one_of(tables(RULE_KEYS, VALUES), SCALARS)
            for section in ("effort", "breaker", "repeats", "scheduling", "money", "policy", "zzz")
        },
    },
)
CHAINS = st.lists(st.sampled_from(["a", "b", "orchestrator"]), unique=True, min_size=1)
LIKELY = st.fixed_dictionaries(
    {
        "backends": st.fixed_dictionaries({"a": FINE, "b": FINE}),
        "ladders": tables(
            ["auto", "one", "two"], st.fixed_dictionaries({"reason": CHAINS}, optional={"answer": CHAINS})
        ),
    },
    optional={
        "default_ladder": st.sampled_from(["auto", "one"]),
        "effort": tables(["offer_from"], st.integers(1, 9)),
        "cards": st.fixed_dictionaries({"desk/0": FINE_CARD, "desk/1": FINE_CARD}),
        "residents": tables(["a", "b"], FINE_RESIDENT),
    },
)


def written(value: Any) -> str:
    """The value as TOML, on one line."""
    if isinstance(value, dict):
        members = cast("dict[str, Any]", value).items()
        return "{" + ", ".join(f"{json.dumps(key)} = {written(member)}" for key, member in members) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(written(member) for member in cast("list[Any]", value)) + "]"
    return json.dumps(value)


@settings(max_examples=400, deadline=None)
@given(st.one_of(DOCUMENTS, LIKELY))
def test_a_document_is_a_topology_or_its_mistakes(document: dict[str, Any]) -> None:
    source = "".join(f"{key} = {written(value)}\n" for key, value in document.items())
    try:
        topology = assembled(parsed(source), DEFAULT)
    except ConfigError as error:
        assert error.mistakes
        assert all(mistake.line for mistake in error.mistakes), str(error)
        assert len(set(error.mistakes)) == len(error.mistakes), str(error)
        return
    for card in topology.cards:
        for resident in card.residents:
            assert topology.resident(resident.name).card == card.card
            assert resident.mib <= card.vram_mib - card.reserve_mib
    # What is accepted can be gone by: each name leads to a climb whose pools are served.
    for name in model_names(topology):
        ladder = ladder_for(topology, name)
        assert ladder
        begin(plan_for(topology, ladder, 5))
        assert {rung.pool for rung in (*ladder.answer, *ladder.reason)} <= set(topology.pools())
