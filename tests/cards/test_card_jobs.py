"""Jobs and models on one card: a burst of jobs keeps no interactive turn waiting for more than the one that runs."""

from temporalio.client import Client

from activities.contracts.urgency import Urgency
from tests.support.cardhost import card_spec, placed, resident

JOBS = 50
TURNS = 10


async def test_a_burst_of_jobs_is_overtaken_by_every_turn(temporal: Client) -> None:
    """Each job needs the room that the turns' model is in. What is granted when is told by the tokens."""
    async with placed(temporal, card_spec(resident("model", 60))) as place:
        ears = await place.collector()
        for number in range(JOBS):
            await place.ask(ears, f"job-{number}", 60, priority=Urgency.BACKGROUND)
        await place.until(lambda view: len(view.leases) == 1 and len(view.waiters) == JOBS - 1)
        order: list[str] = []
        # A turn comes while each of the first jobs runs, and then no more of them do.
        for told in range(1, JOBS + TURNS + 1):
            granted = (await place.told(ears, told))[-1]
            assert granted.granted is not None
            order.append(granted.lease)
            turn = f"turn-{told // 2}"
            if granted.lease.startswith("job") and told < 2 * TURNS:
                await place.ask(ears, turn, "model", priority=Urgency.INTERACTIVE)
                await place.until(lambda view, turn=turn: any(w.lease == turn for w in view.waiters))
            await place.release(granted.lease)
    begun = order[: 2 * TURNS]
    assert begun[1::2] == [f"turn-{number}" for number in range(TURNS)], "each is next, loading included"
    assert all(lease.startswith("job") for lease in begun[::2])
    assert {lease for lease in order if lease.startswith("job")} == {f"job-{n}" for n in range(JOBS)}
