"""What the activities of a swarm share: their ports, their failures as Temporal takes them, and a job's tasks."""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from activities.contracts.jobs import ATTEMPTS, JobRecord, JobRef
from activities.contracts.ledger import FindingIds, GoalPage
from activities.contracts.swarm import Finding
from activities.errors import AitherError, FindingsBehind, to_application_error
from activities.swarm_ports import (
    Asking,
    BoardTask,
    JobStore,
    JobTeller,
    Room,
    SwarmRules,
    TurnSaid,
)
from activities.swarm_store import SwarmStore

READ_AT_ONCE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class SwarmPorts:
    """Everything that the activities of a swarm need of the world."""

    jobs: JobStore
    store: SwarmStore
    asking: Asking
    teller: JobTeller
    room: Room
    rules: SwarmRules
    now: Callable[[], datetime] = lambda: datetime.now(UTC)


@contextmanager
def translated() -> Generator[None]:
    """Failures of the block as Temporal takes them."""
    try:
        yield
    except AitherError as error:
        raise to_application_error(error) from error


def budget_nano(ports: SwarmPorts, job: JobRecord) -> int | None:
    """What the job may cost in all."""
    usd = job.options.budget_usd
    return None if usd is None else ports.rules.to_nano(usd)


async def newest_attempt(ports: SwarmPorts, ref: JobRef, *words: str) -> tuple[str, TurnSaid | None]:
    """The turn that is to be asked for these words: the first that has not failed, and how it stands.

    After the last attempt the last one is told, as it ended.
    """
    ids = [ports.asking.turn_id(ref, *words, str(attempt)) for attempt in range(ATTEMPTS)]
    said = await ports.jobs.said(ref, ids)
    for turn_id in ids:
        found = said.get(turn_id)
        if found is None or not found.failed:
            return turn_id, found
    return ids[-1], said[ids[-1]]


async def put_right(ports: SwarmPorts, ref: JobRef) -> None:
    """Brings the board up to the ledger, which a crash may have left it behind."""
    board = {task.id: task for task in await ports.jobs.board(ref)}
    cursor = ""
    while True:
        page = await ports.store.tasks(GoalPage(tenant_id=ref.tenant_id, goal_id=ref.job_id, cursor=cursor))
        for task in page.tasks:
            shown = board.get(task.id)
            if shown is not None and shown.status is not task.status:
                await ports.jobs.note(
                    ref,
                    replace(
                        shown,
                        status=task.status,
                        owner=task.owner,
                        expires_at=task.expires_at,
                        findings=task.findings,
                        why=task.why,
                    ),
                )
        cursor = page.next_cursor
        if not cursor:
            return


async def findings_of(ports: SwarmPorts, ref: JobRef) -> tuple[list[Finding], Sequence[BoardTask]]:
    """Every finding of the job in the order of its tasks, counted against them, and the tasks.

    Raises `FindingsBehind` where memory does not hold as many as the tasks say.
    """
    board = await ports.jobs.board(ref)
    wanted = sum(task.findings for task in board)
    ids: list[str] = []
    cursor = ""
    while True:
        page = await ports.store.refs(GoalPage(tenant_id=ref.tenant_id, goal_id=ref.job_id, cursor=cursor))
        ids += [found.id for found in page.refs]
        cursor = page.next_cursor
        if not cursor:
            break
    found: list[Finding] = []
    for first in range(0, len(ids), READ_AT_ONCE):
        some = FindingIds(tenant_id=ref.tenant_id, ids=tuple(ids[first : first + READ_AT_ONCE]))
        found += (await ports.store.read(some)).findings
    if not page.total == len(found) == wanted:
        raise FindingsBehind(f"memory holds {page.total} findings and gave {len(found)}, of {wanted}")
    places = {task.id: task.place for task in board}
    found.sort(key=lambda each: (places.get(each.task_id, len(places)), str(each.found_at), each.id))
    return found, board
