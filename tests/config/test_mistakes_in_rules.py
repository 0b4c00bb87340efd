"""Mistakes in ladders and rules are named on their lines too."""

import pytest

from tests.config.test_mistakes import BACKEND, mistakes, only_after

TWO = f"""{BACKEND}
[backends.big]
model = "big-400b"
base_url = "https://api.deepseek.com"
api_key_env = "BIG_KEY"
price = {{ input_usd = 1, output_usd = 2, read_on = 2026-11-01 }}
"""


@pytest.mark.parametrize(
    ("addition", "told"),
    [
        (
            '[ladders.auto]\nreason = [\n  "b",\n  "bog",\n]',
            '4: ladders.auto.reason[1]: "bog" is no backend; did you mean "big"? allowed: b, big, orchestrator',
        ),
        (
            '[ladders.auto]\nanswer = ["b", "b"]',
            '2: ladders.auto.answer[1]: backend "b" stands twice in this',
        ),
        (
            '[ladders.auto]\nanswer = ["b", { backend = "big", name = "b" }]',
            '2: ladders.auto.answer[1]: two rungs of this chain are named "b"',
        ),
        ("[ladders.auto]\nanswer = []", "2: ladders.auto.answer: answer is the chain that serves every turn"),
        ('[ladders.auto]\nanswer = "b"', "2: ladders.auto.answer: an array is wanted, not a string"),
        ("[ladders.auto]\nreason = [3]", "2: ladders.auto.reason[0]: a backend's name, or { backend = "),
        ('[ladders.auto]\nreasons = ["b"]', '2: ladders.auto.reasons: "reasons" is an unknown key; did you'),
        ('[[ladders.auto.reason]]\nname = "x"', "1: ladders.auto.reason[0]: backend is missing"),
        (
            '[[ladders.auto.reason]]\nbackend = "b"\n[[ladders.auto.reason]]\nbackend = "c"',
            '4: ladders.auto.reason[1].backend: "c" is no backend; allowed: b, big, orchestrator',
        ),
        (
            '[[ladders.auto.reason]]\nbackend = "b"\npatience = 20',
            '3: ladders.auto.reason[0].patience: a duration such as "250ms", "20s", "5m" or "1h" is wanted,'
            " not an integer",
        ),
        (
            '[[ladders.auto.reason]]\nbackend = "b"\npatience = "20 sec"',
            '3: ladders.auto.reason[0].patience: a duration such as "250ms", "20s", "5m" or "1h" is wanted,'
            ' not "20 sec"',
        ),
        (
            '[[ladders.auto.reason]]\nbackend = "b"\ncall_timeout = "0s"',
            "3: ladders.auto.reason[0].call_timeout: a duration longer than nothing is wanted",
        ),
        (
            '[[ladders.auto.reason]]\nbackend = "b"\npool = "b"',
            "3: ladders.auto.reason[0].pool: a pool is a task",
        ),
        (
            '[[ladders.auto.reason]]\nbackend = "b"\ntimeout = "1s"',
            '3: ladders.auto.reason[0].timeout: "timeout" is an unknown key; did you mean "call_timeout"?',
        ),
        (
            '[ladders.auto]\nanswer = [{ backend = "b", pool = "llm-1" }]\n'
            'reason = [{ backend = "b", pool = "llm-2" }]',
            '3: ladders.auto.reason[0].pool: backend "b" serves pool "llm-1" already: in two, its slots',
        ),
        (
            '[ladders.one]\nreason = ["b"]\n[ladders.ONE]',
            '3: ladders.ONE: only case tells it from the ladder "one"',
        ),
        ('[ladders.big]\nreason = ["b"]', "1: ladders.big: a backend has this name; give the ladder another"),
        (
            '[ladders.m]\nreason = ["b"]',
            "1: ladders.m: a backend's model has this name; give the ladder another",
        ),
        ("[ladders]\none = 1", "2: ladders.one: a table is wanted, not an integer"),
        ("[effort]\noffer_from = 0", "2: effort.offer_from: an integer from 1 to 11 is wanted, not 0"),
        ("[effort]\nrequire_from = 12", "2: effort.require_from: an integer from 1 to 11 is wanted, not 12"),
        (
            "[effort]\n\noffer_from = 10",
            "3: effort.offer_from: offer_from (10) must not be above require_from (9)",
        ),
        (
            '[effort]\nrouter = "rule"',
            '2: effort.router: "rule" is unknown; did you mean "rules"? allowed: model,',
        ),
        ("[effort]\ndefault = 11", "2: effort.default: an integer from 1 to 10 is wanted, not 11"),
        ("[effort]\nbands = 1", '2: effort.bands: "bands" is an unknown key; allowed: default, offer_from,'),
        ("[breaker]\nrate = 0", "2: breaker.rate: a number above 0 and at most 1 is wanted, not 0"),
        (
            "[breaker]\nrate_least = 30",
            "2: breaker.rate_least: rate_least (30) must not be above rate_calls (20)",
        ),
        (
            "[breaker]\nmax_open = '1ms'",
            "2: breaker.max_open: first_open (1 s) must not be longer than max_open",
        ),
        (
            "[breaker]\nfailures = 1",
            '2: breaker.failures: "failures" is an unknown key; did you mean "failures_',
        ),
        ("[repeats]\ntimes = -1", "2: repeats.times: an integer from 0 to 20 is wanted, not -1"),
        (
            "[scheduling]\naging = 'of'",
            '2: scheduling.aging: a duration such as "250ms", "20s", "5m" or "1h" is',
        ),
        ("[scheduling]\naging = '5ms'", '2: scheduling.aging: "off", or at least 100ms, is wanted'),
        (
            "[scheduling]\nageing = '5s'",
            '2: scheduling.ageing: "ageing" is an unknown key; did you mean "aging"?',
        ),
        ("[repeats]\nfirst = '1m'", "2: repeats.first: first must not be longer than longest"),
        ("[money]\nturn_usd = '1'", "2: money.turn_usd: a number of at least 0 is wanted, not a string"),
        (
            "[money]\ntenant_day_usd = inf",
            "2: money.tenant_day_usd: a number of at least 0 is wanted, not inf",
        ),
        ("[money]\nreference = 'b'", '2: money.reference: backend "b" has no price; allowed: big'),
        (
            "[money]\nreference = 'bigg'",
            '2: money.reference: "bigg" is no backend; did you mean "big"? allowed: big',
        ),
        ("[money]\nreference = 1", "2: money.reference: the name of a backend with a price, or { model, "),
        (
            "[money.reference]\nmodel = 'x'\ninput_usd = 1\noutput_usd = 1",
            "1: money.reference: read_on is missing",
        ),
        ("[policy]\nlocal_only = 'yes'", "2: policy.local_only: true or false is wanted, not a string"),
        (
            "[policy]\nallowed_backends = ['b', 'bih']",
            '2: policy.allowed_backends[1]: "bih" is not configured; did',
        ),
        (
            "[policy]\nallowed_models = ['b']",
            '2: policy.allowed_models[0]: "b" is not configured; allowed: big-400b',
        ),
        ("[policy]\nlocal = true", '2: policy.local: "local" is an unknown key; did you mean "local_only"?'),
        (
            "[ladder.auto]",
            '1: ladder: "ladder" is an unknown key; did you mean "ladders"? allowed: approvals,',
        ),
        ("[[effort]]", "1: effort: a table is wanted, not an array"),
    ],
)
def test_in_ladders_and_rules(addition: str, told: str) -> None:
    assert only_after(TWO, addition).startswith(told)


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (
            'default_ladder = "priv"\n[ladders.private]',
            '1: default_ladder: "priv" is no ladder; did you mean',
        ),
        ("default_ladder = 1", "1: default_ladder: a string is wanted, not an integer"),
        (
            'default_ladder = "private"\n[ladders.private]\n[ladders.auto]',
            '3: ladders.auto: turns ask for the default ladder as "auto", and that is "private"',
        ),
    ],
)
def test_in_the_default_ladder(source: str, told: str) -> None:
    assert mistakes(source)[0].startswith(told)
