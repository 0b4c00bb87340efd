"""The faults that backends have, each met by this installation's own rules, adapters and policies.

A drill gives a copy of a configured backend a server that misbehaves, and a second copy a server that does not,
as two rungs of a ladder.
"""

import asyncio
import time

from activities.contracts.turn import HopOutcome
from infra.doctor.misbehaving import Behaviour, Fault
from workers.doctor.ground import ROOM_S, SILENCE, Drill, Ground, Wrong, check_unbilled, check_whole, told


def one_fault(
    name: str,
    behaviour: Behaviour,
    codes: tuple[str, ...],
    *,
    within_s: float = ROOM_S,
    billed: bool = False,
) -> Drill:
    """A drill of one turn that meets one fault, is answered all the same, and of the turn after it.

    `billed`: its provider counts the call, and so does the ledger.
    """

    async def run(ground: Ground) -> str:
        ground.server.now = behaviour
        began = time.monotonic()
        ended = await ground.stage.climb("during")
        took = time.monotonic() - began
        first = ended.route[0]
        check_whole(ended)
        code = first.why.partition(":")[0]
        if code not in codes:
            raise Wrong(f"it was taken for {first.why}")
        if ground.server.calls != 1:
            raise Wrong(f"it was called {ground.server.calls} times for one turn")
        if took > within_s:
            raise Wrong(f"the turn took {took:.1f} s, more than {within_s:.1f} s")
        if not billed:
            check_unbilled(ended, first)
        return f"{code}, answered whole in {took:.2f} s; {await ground.healthy_again()}"

    bill = "booked as its provider counts it" if billed else "no bill"
    expected = f"{' or '.join(codes)}, then the next rung; whole answer, one call, {bill}"
    return Drill(name=name, expected=expected, run=run)


async def _refused(ground: Ground) -> str:
    await ground.server.refuse()
    ended = await ground.stage.climb("during")
    check_whole(ended)
    code = ended.route[0].why.partition(":")[0]
    if code != "backend_unavailable":
        raise Wrong(f"it was taken for {ended.route[0].why}")
    await ground.server.accept()
    return f"{code}, answered whole; {await ground.healthy_again()}"


async def _lasting(ground: Ground) -> str:
    ground.server.now = Behaviour(fault=Fault.STATUS, status=503)
    threshold = ground.stage.topology.breaker.failures_in_row
    for number in range(threshold):
        check_whole(await ground.stage.climb(f"during-{number}"))
    if not ground.stage.breakers.barred():
        raise Wrong(f"its breaker is closed after {threshold} failures")
    calls = ground.server.calls
    began = time.monotonic()
    ended = await ground.stage.climb("barred")
    took = time.monotonic() - began
    check_whole(ended)
    if ended.route[0].outcome is not HopOutcome.SKIPPED or ground.server.calls != calls:
        raise Wrong(f"it was called though its breaker is open: {told(ended)}")
    return f"barred after {calls} calls, then passed over in {took * 1000:.0f} ms; {await ground.healthy_again()}"


async def _flapping(ground: Ground) -> str:
    ground.server.now = Behaviour(fault=Fault.STATUS, status=503)
    for number in range(ground.stage.topology.breaker.failures_in_row):
        await ground.stage.climb(f"during-{number}")
    await ground.until_tried_again()
    calls = ground.server.calls
    crowd = await asyncio.gather(*(ground.stage.climb(f"crowd-{number}") for number in range(8)))
    for ended in crowd:
        check_whole(ended)
    probes = ground.server.calls - calls
    if probes != 1:
        raise Wrong(f"8 turns at once sent {probes} calls to a backend that was to be probed")
    return f"1 probe for 8 turns at once; {await ground.healthy_again()}"


_SLOW = SILENCE.total_seconds() + ROOM_S
_UNAVAILABLE = ("backend_unavailable", "backend_error")

DRILLS = (
    one_fault(
        "429 with Retry-After",
        Behaviour(fault=Fault.STATUS, status=429, retry_after="1"),
        ("backend_rate_limited",),
    ),
    one_fault(
        "429 without Retry-After", Behaviour(fault=Fault.STATUS, status=429), ("backend_rate_limited",)
    ),
    one_fault("500 once", Behaviour(fault=Fault.STATUS, status=500), _UNAVAILABLE),
    Drill(
        name="503 for long",
        expected="every turn answered by the next rung; its breaker opens, it is passed over, and taken back",
        run=_lasting,
    ),
    Drill(name="refused connections", expected="backend_unavailable, then the next rung", run=_refused),
    one_fault("reset connections", Behaviour(fault=Fault.RESET), ("backend_unavailable",)),
    one_fault(
        "silence after the request", Behaviour(fault=Fault.SILENCE), ("backend_timed_out",), within_s=_SLOW
    ),
    one_fault("silence in mid-stream", Behaviour(fault=Fault.STALL), ("backend_timed_out",), within_s=_SLOW),
    one_fault("a connection closed in mid-stream", Behaviour(fault=Fault.BREAK), ("backend_unavailable",)),
    one_fault("a stream cut without its end", Behaviour(fault=Fault.CUT), ("backend_unavailable",)),
    one_fault(
        "a malformed chunk",
        Behaviour(fault=Fault.MALFORMED),
        ("answer_malformed", "backend_unavailable", "backend_error"),
    ),
    one_fault("empty content with 200", Behaviour(fault=Fault.EMPTY), ("answer_empty", "empty"), billed=True),
    one_fault("another model than asked", Behaviour(fault=Fault.OTHER_MODEL), ("model_replaced",)),
    Drill(
        name="a backend that flaps",
        expected="one probe at a time, however many turns there are; back to it once it is well",
        run=_flapping,
    ),
)
