"""One turn, climbed in this process as its workflow would: the same policies, activity, adapters and breakers.

Only what surrounds them is played: Temporal by this loop, the stores by `Notes`.
"""

import asyncio
from dataclasses import dataclass, field

from temporalio.testing import ActivityEnvironment

from activities.chat import ChatActivities, ChatPorts
from activities.contracts.topology import Topology
from activities.contracts.turn import ChatResult, Hop, TurnEnding, TurnError, TurnInput, TurnStatus
from activities.ports import Breakers, Seats
from activities.running import RunningCalls
from workers.composition import PolicyRules
from workers.doctor.memory import Notes
from workflows.policy.climb import Agreed, Ask, Compose, Fail, Finish, Pause, SeekAgreement, Seen, Skip
from workflows.policy.ladder import begin, decide
from workflows.policy.plans import plan_for
from workflows.policy.seen import observe
from workflows.policy.steps import (
    first_sight,
    later_sight,
    seen_of,
    sight_after_waiting,
    skipped_hop,
    step_for,
)

TENANT = "drill"
EFFORT = 3


@dataclass(slots=True)
class Ended:
    """What came of the turn."""

    notes: Notes
    route: list[Hop] = field(default_factory=list[Hop])
    error: TurnError | None = None

    @property
    def text(self) -> str | None:
        """The answer that was recorded; None where the turn failed."""
        return self.notes.final.text if self.notes.final else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Where turns are climbed: whom there is to ask, and the breakers that outlast a turn."""

    topology: Topology
    seats: Seats
    breakers: Breakers

    async def climb(self, turn_id: str, question: str = "Say it.") -> Ended:
        """Climbs one turn to its end."""
        ended = Ended(Notes(question))
        plan = plan_for(self.topology, self.topology.ladders[0], EFFORT)
        turn = TurnInput(
            turn_id=turn_id,
            tenant_id=TENANT,
            plan=plan,
            effort_why="drill",
            priority=1,
            barred=self.seats.barred(),
        )
        results: list[ChatResult] = []
        climb, sight = begin(plan), first_sight(turn)
        while True:
            decision = decide(plan, climb, sight)
            seen: Seen | None = None
            match decision:
                case Ask() | Compose():
                    result = await self._ask(turn, decision, results, ended)
                    if result.ended:
                        return ended
                    sight, seen = later_sight(sight, result.barred), seen_of(result)
                case Skip():
                    ended.route.append(skipped_hop(decision))
                case Pause(seconds=seconds):
                    await asyncio.sleep(seconds)
                    sight = sight_after_waiting(sight, decision.rung.backend)
                case SeekAgreement():
                    seen = Agreed(yes=False)
                case Finish(answer_step=step):
                    await self._end(turn, ended, TurnStatus.COMPLETED, step)
                    return ended
                case Fail(code=code, why=why):
                    ended.error = TurnError(code=code, message=why)
                    await self._end(turn, ended, TurnStatus.FAILED, None)
                    return ended
            climb = observe(plan, climb, decision, seen)

    async def _ask(
        self, turn: TurnInput, decision: Ask | Compose, results: list[ChatResult], ended: Ended
    ) -> ChatResult:
        step = step_for(turn, decision, results, ended.route)
        ports = ChatPorts(
            topology=self.topology,
            seats=self.seats,
            store=ended.notes,
            ledger=ended.notes,
            events=ended.notes,
            breakers=self.breakers,
            rules=PolicyRules(),
            running=RunningCalls(),
        )
        result = await ActivityEnvironment().run(ChatActivities(ports).chat, step)
        ended.route.append(result.hop)
        results.append(result)
        return result

    async def _end(self, turn: TurnInput, ended: Ended, status: TurnStatus, step: int | None) -> None:
        ending = TurnEnding(
            turn_id=turn.turn_id,
            tenant_id=turn.tenant_id,
            status=status,
            route=tuple(ended.route),
            error=ended.error,
            answer_step=step,
        )
        await ended.notes.end_turn(ending)
