"""An approval is announced, reminded of, escalated and settled, and no surface holds it up."""

from datetime import timedelta

from activities.contracts.approvals import Deciders, Escalation
from tests.approvals.board import Board
from tests.approvals.gate import Gate, soon
from workflows.approval_starts import wake_approval

AT_ONCE = timedelta(milliseconds=1)


async def test_people_are_told_reminded_others_are_asked_and_all_see_the_outcome(
    gate: Gate, board: Board
) -> None:
    then = (Escalation(after=timedelta(seconds=1), people=("carol",)),)
    ref = await gate.opened(
        deadline=soon(4),
        reminders=(timedelta(seconds=2),),
        deciders=Deciders(people=("anna",), then=then),
    )
    await wake_approval(gate.ground.client, ref)
    await gate.over(ref)
    assert board.seen[ref.approval_id] == [
        ("card", ("anna",)),
        ("card", ("anna", "carol")),
        ("reminder", ("anna", "carol")),
        ("expired deny", ()),
    ]
    events = [line[0] for line in await gate.audit(ref)]
    assert events == ["opened", "escalated", "reminded", "expired"]


async def test_a_surface_that_is_away_for_the_whole_life_changes_nothing(gate: Gate, board: Board) -> None:
    ask = gate.ask()
    ref = gate.ref(ask.id)
    board.away.add(ask.id)
    handle = await gate.asked(ask)
    await board.tried_for(ask.id)
    await gate.decide(ref, "anna")
    await wake_approval(gate.ground.client, ref)
    (decision,) = await gate.told_what(handle)
    assert decision.by == "anna"
    assert not board.seen[ask.id]
    board.away.discard(ask.id)
    await gate.over(ref)
    assert board.seen[ask.id] == [("decided approve", ())], "and no card after that"


async def test_who_cancels_settles_it_everywhere(gate: Gate, board: Board) -> None:
    from activities.contracts.approvals import Surface

    ref = await gate.opened()
    await wake_approval(gate.ground.client, ref)
    await gate.attended(ref)
    answer = await gate.store.cancel(ref, "bot", Surface.REST, "done by hand")
    assert answer.verdict == "decided"
    await wake_approval(gate.ground.client, ref)
    await gate.over(ref)
    assert board.seen[ref.approval_id][-1] == ("cancelled", ())
    assert (await gate.store.cancel(ref, "bot", Surface.REST)).verdict == "closed"
    stranger = await gate.store.cancel(await gate.opened(), "carol", Surface.REST)
    assert stranger.verdict == "stranger"
