"""An answer that breaks off is gone on from, or started over: a reader always ends up with what was recorded."""

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from activities.contracts.backends import BackendKind, Price
from activities.contracts.chat import Sampling
from activities.contracts.events import EventKind
from activities.contracts.policy import Caps, TurnPolicy
from tests.ladder.seats import CONTINUES, Seat, laid_out
from tests.ladder.told import Told
from tests.support.house import Ground
from tests.support.standin import Fault, Reply, StandIn

TEXT = "Rayleigh scattering — Streuung, 散乱 — makes  the sky\n\nblue 💡👩‍🔬, not néon."
CUT = 10_000
"""After all of the text that there is."""

quick = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
words = st.text(st.sampled_from("ab é\u0301ß\n\t 散💡👩\u200d🔬.\u00a0"), min_size=1, max_size=24)
texts = st.lists(words, min_size=1, max_size=6).map("".join).filter(str.strip)


def cut_after(text: str, fault: Fault = Fault.CUT) -> Reply:
    return Reply(text=text, fault=fault, fault_after=CUT)


def restarts(told: Told) -> list[str]:
    return [e.data["why"] for e in told.events if e.kind is EventKind.HOP_RESTARTED]


def offsets(told: Told) -> list[int]:
    begun = {EventKind.HOP_STARTED, EventKind.HOP_RESTARTED}
    return [e.data["offset"] for e in told.events if e.kind in begun]


def continued(standin: StandIn) -> str:
    """The text that the latest call asked to go on from; empty where it asked for a whole answer."""
    last: dict[str, Any] = standin.calls[-1].body["messages"][-1]
    return last["content"] if last["role"] == "assistant" else ""


@quick
@given(text=texts, data=st.data())
async def test_nothing_is_glued_doubled_or_lost_wherever_the_answer_is_cut(
    ground: Ground, primary: StandIn, fallback: StandIn, text: str, data: st.DataObject
) -> None:
    """The third goes on from what the first and the second have said between them."""
    cuts = st.integers(0, len(text))
    one, two = sorted((data.draw(cuts, "first cut"), data.draw(cuts, "second cut")))
    seats = [
        Seat(name="first", standin=primary),
        Seat(name="second", standin=primary, capabilities=CONTINUES),
        Seat(name="third", standin=fallback, capabilities=CONTINUES),
    ]
    primary.script(cut_after(text[:one]), cut_after(text[:two]))
    fallback.default = Reply(text=text)
    async with ground.house(laid_out(seats)) as house:
        told = await house.ask("why?")
    assert told.answer == text
    assert told.text == text
    assert told.route[2:] == ["third answered"]
    assert continued(fallback) == text[:two].rstrip()
    assert offsets(told) == [0, one if text[:one].strip() else 0, two if text[:two].strip() else 0]
    assert not restarts(told)


@quick
@given(text=texts, data=st.data())
async def test_who_cannot_go_on_starts_over_and_says_so(
    ground: Ground, primary: StandIn, fallback: StandIn, text: str, data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(text)), "cut")
    primary.script(cut_after(text[:cut], data.draw(st.sampled_from([Fault.CUT, Fault.BREAK, Fault.RESET]))))
    fallback.default = Reply(text="another answer")
    seats = [Seat(name="first", standin=primary), Seat(name="second", standin=fallback)]
    async with ground.house(laid_out(seats)) as house:
        told = await house.ask("why?")
    assert told.text == told.answer == "another answer"
    assert continued(fallback) == ""
    assert len(restarts(told)) == bool(text[:cut].strip())
    assert offsets(told) == [0, 0]


async def test_the_same_rung_goes_on_from_its_own_text(ground: Ground, primary: StandIn) -> None:
    primary.script(cut_after(TEXT[:9]))
    primary.default = Reply(text=TEXT)
    async with ground.house(laid_out([Seat(name="one", standin=primary, capabilities=CONTINUES)])) as house:
        told = await house.ask("why?")
    assert told.route == ["one failed backend_unavailable", "one answered"]
    assert told.text == told.answer == TEXT
    assert continued(primary) == TEXT[:9].rstrip()


async def test_another_dialect_goes_on_too(ground: Ground, primary: StandIn, fallback: StandIn) -> None:
    """Anthropic refuses a prefill that ends in white space; what the client has does."""
    cut = TEXT.index("makes  ") + len("makes  ")
    primary.script(cut_after(TEXT[:cut]))
    fallback.default = Reply(text=TEXT)
    seats = [
        Seat(name="first", standin=primary),
        Seat(name="second", standin=fallback, capabilities=CONTINUES, kind=BackendKind.ANTHROPIC),
    ]
    async with ground.house(laid_out(seats)) as house:
        told = await house.ask("why?")
    assert told.text == told.answer == TEXT


async def test_rungs_that_are_passed_over_in_between_do_not_cost_the_text(
    ground: Ground, primary: StandIn, fallback: StandIn
) -> None:
    """One has asked to be left alone, one would break the cap: neither is told of, and the text still counts."""
    dear = Price(input_usd=1000.0, output_usd=1000.0, read_on="2026-11-01")
    seats = [
        Seat(name="first", standin=primary, capabilities=CONTINUES),
        Seat(name="resting", standin=fallback, capabilities=CONTINUES),
        Seat(name="dear", standin=fallback, capabilities=CONTINUES, price=dear),
        Seat(name="last", standin=fallback, capabilities=CONTINUES),
    ]
    fallback.script(Reply(status=429, retry_after="60"))
    topology = laid_out(seats)
    async with ground.house(topology) as house:
        primary.script(Reply(status=500))
        await house.ask("wake up")
        assert (primary.total, fallback.total) == (1, 2)

        primary.script(cut_after(TEXT[:20]))
        fallback.default = Reply(text=TEXT)
        # The ladder counts on a tenth of what the call turns out to need, so that the ledger has to say no.
        policy = TurnPolicy(caps=Caps(turn_usd=0.3))
        told = await house.ask("why? " * 40, policy=policy)
    assert told.route == [
        "first failed backend_unavailable",
        "resting skipped breaker_open",
        "dear skipped over_budget",
        "last answered",
    ]
    assert told.text == told.answer == TEXT
    assert continued(fallback) == TEXT[:20].rstrip()
    assert offsets(told) == [0, 20]


async def test_what_is_more_than_text_is_made_in_one_piece(
    ground: Ground, primary: StandIn, fallback: StandIn
) -> None:
    tool = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}
    seats = [
        Seat(name="first", standin=primary),
        Seat(name="second", standin=fallback, capabilities=CONTINUES),
    ]
    fallback.default = Reply(text='{"whole": "again"}')
    async with ground.house(laid_out(seats)) as house:
        for wanted in (
            Sampling(tools=(tool,)),
            Sampling(logprobs=True),
            Sampling(response_format={"type": "json_object"}),
        ):
            primary.script(cut_after('{"whole":'))
            told = await house.ask("why?", sampling=wanted)
            assert told.text == told.answer == '{"whole": "again"}'
            assert continued(fallback) == ""
            assert len(restarts(told)) == 1


async def test_what_cannot_be_recorded_is_not_told(
    ground: Ground, primary: StandIn, fallback: StandIn
) -> None:
    """PostgreSQL holds no NUL, so counting it would shift every offset behind it."""
    primary.script(cut_after("one\x00 two\x00\x00 "))
    fallback.default = Reply(text="one two three\x00 four")
    seats = [
        Seat(name="first", standin=primary),
        Seat(name="second", standin=fallback, capabilities=CONTINUES),
    ]
    async with ground.house(laid_out(seats)) as house:
        told = await house.ask("why?")
    assert told.text == told.answer == "one two three four"
