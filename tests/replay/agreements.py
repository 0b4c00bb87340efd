"""Lives of turns that wait for a person, for `test_replay` to replay; `python -m tests.replay.agreements` records them.

Record anew only for a change that `workflow.patched` guards, or before anything runs in production.
`turn-nobody-could-agree` is older than people could be asked, and is not to be recorded again.
"""

import asyncio

from activities.contracts.approvals import Scope
from activities.contracts.policy import ApproveCloud, TurnPolicy
from tests.ladder.deciding import Desk
from tests.ladder.seats import PRICE, Seat, laid_out
from tests.ladder.told import Told
from tests.replay.scenarios import HISTORIES
from tests.support.house import Ground, House
from tests.support.standin import StandIn

ASK = TurnPolicy(approve_cloud=ApproveCloud.ASK)


async def lives(house: House, desk: Desk) -> dict[str, Told]:
    """A no, a cancel, a yes, and what that yes has granted."""
    denied = await house.begin(policy=ASK)
    await desk.say(await desk.asked(denied), "deny")
    cancelled = await house.begin(policy=ASK)
    await desk.asked(cancelled)
    await house.cancel(cancelled)
    agreed = await house.begin(policy=ASK)
    await desk.say(await desk.asked(agreed), scope=Scope.ALWAYS)
    for each in (denied, cancelled, agreed):
        await house.follow(each)
    told = {"denied": denied, "cancelled-asking": cancelled, "agreed": agreed}
    told["granted"] = await house.ask(policy=ASK)
    for each in told.values():
        await house.closed(each)
    return told


async def record() -> None:
    """Records the histories."""
    async with StandIn() as far, StandIn() as near, Ground.laid() as ground:
        seats = [
            Seat(name="claude", standin=far, cloud=True, price=PRICE),
            Seat(name="local", standin=near),
        ]
        async with ground.house(laid_out(seats)) as house:
            for name, told in (await lives(house, await Desk.of(house))).items():
                history = await house.handle(told).fetch_history()
                (HISTORIES / f"turn-{name}.json").write_text(history.to_json() + "\n")


if __name__ == "__main__":
    asyncio.run(record())
