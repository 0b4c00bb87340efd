"""Who may have a task, and until when: a pure state machine over a clock that is handed in.

A task is open, claimed until its claim runs out, or at its end (done, failed). Every claim brings the next token,
and whatever brings another token than the newest is refused: a task is finished at most once, whoever comes late.
A claim that has run out is still good for as long as nobody else has taken the task: work is not thrown away.
After Kleppmann, "How to do distributed locking" (fencing tokens), and rendezvous hashing (Thaler, Ravishankar).
"""

import hashlib
import math
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from activities.contracts.swarm import Claim, Task, TaskStatus

ENDS = frozenset({TaskStatus.DONE, TaskStatus.FAILED})
ALIKE = 0.85
"""Share of words that two tasks must have in common to be one and the same."""
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Why a claim is not, or not any more, good for that."""

    why: str


def look(task: Task, now: datetime) -> Refused | None:
    """Why the task cannot be claimed now, if it cannot."""
    if task.status in ENDS:
        return Refused(why=f"the task is {task.status}")
    if task.status is TaskStatus.CLAIMED and not _over(task, now):
        return Refused(why=f"{task.owner} has the task")
    return None


def claimed(task: Task, owner: str, now: datetime, ttl: timedelta) -> Task | Refused:
    """The task once `owner` has claimed it, with the next token."""
    return look(task, now) or replace(
        task,
        status=TaskStatus.CLAIMED,
        owner=owner,
        token=task.token + 1,
        expires_at=now + ttl,
        attempts=task.attempts + 1,
        why="",
    )


def claim_of(task: Task) -> Claim:
    """The claim that a claimed task stands under."""
    assert task.expires_at is not None
    return Claim(task=task, owner=task.owner, token=task.token, expires_at=task.expires_at)


def renewed(task: Task, token: int, now: datetime, ttl: timedelta) -> Task | Refused:
    """The task with its claim good for `ttl` from now; a claim never gets shorter by it."""
    if lost := _lost(task, token):
        return lost
    until = now + ttl
    return replace(task, expires_at=max(until, task.expires_at or until))


def completed(task: Task, token: int, findings: int) -> Task | Refused:
    """The task when it is done. The claim that has done it may say so again: then it is returned as it is."""
    if task.status is TaskStatus.DONE and task.token == token:
        return task
    return _lost(task, token) or replace(
        task, status=TaskStatus.DONE, expires_at=None, findings=findings, why=""
    )


def failed(task: Task, token: int, why: str) -> Task | Refused:
    """The task when it cannot be done; may be said again, as above."""
    if task.status is TaskStatus.FAILED and task.token == token:
        return task
    return _lost(task, token) or replace(task, status=TaskStatus.FAILED, expires_at=None, why=why)


def released(task: Task, token: int, why: str) -> Task | Refused:
    """The task given back. Its token stays: the next claim brings a higher one. May be said again, as above."""
    if task.status is TaskStatus.OPEN and task.token == token:
        return task
    return _lost(task, token) or replace(task, status=TaskStatus.OPEN, owner="", expires_at=None, why=why)


def seen(task: Task, now: datetime) -> Task:
    """The task as a reader sees it: open again once its claim has run out."""
    if task.status is TaskStatus.CLAIMED and _over(task, now):
        return replace(task, status=TaskStatus.OPEN)
    return task


def spread(owner: str, tasks: Iterable[Task]) -> list[Task]:
    """The tasks in the order in which this worker should try them: every worker's is another."""
    return sorted(tasks, key=lambda task: _hash(owner, task.id))


def first_look(owner: str) -> str:
    """A UUID at which this worker starts to look for tasks, so that many workers look at different ones."""
    digits = _hash("first look", owner).hex()[:32]
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def normalised(text: str) -> str:
    """The text without what makes no difference: case, forms of letters, spaces, marks at its ends."""
    words = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    return words.strip(" .!?;:,-*•")


def task_id(goal_id: str, text: str) -> str:
    """The id of the goal's task with that text: planning twice makes no second one."""
    return "task_" + _hash(goal_id, normalised(text)).hex()[:26]


def finding_id(task_id: str, token: int, place: int) -> str:
    """The id of what the claim with that token found at that place: recording twice makes no second one."""
    return "finding_" + _hash(task_id, str(token), str(place)).hex()[:26]


def same(one: str, other: str) -> bool:
    """Whether two tasks' texts ask for the same: alike in their words, and alike in every number."""
    return _alike(_Words.of(one), _Words.of(other))


def distinct(texts: Sequence[str]) -> list[int]:
    """The places of the texts that say something new, in order; empty ones do not.

    Two sets of words that are alike share one of the first few of each, in any one order of words: only such pairs
    are compared, the rarest words first (prefix filtering: Chaudhuri et al., ICDE 2006).
    """
    said = [_Words.of(text) for text in texts]
    common = Counter(word for each in said for word in each.words)
    seen, like = set[str](), defaultdict[tuple[str, frozenset[str]], list[_Words]](list)
    kept: list[int] = []
    for place, each in enumerate(said):
        if not each.normalised or each.normalised in seen:
            continue
        ordered = sorted(each.words, key=lambda word: (common[word], word))
        first = ordered[: len(ordered) - math.ceil(ALIKE * len(ordered)) + 1]
        if any(_alike(each, other) for word in first for other in like[word, each.numbers]):
            continue
        kept.append(place)
        seen.add(each.normalised)
        for word in first:
            like[word, each.numbers].append(each)
    return kept


@dataclass(frozen=True, slots=True)
class _Words:
    normalised: str
    words: frozenset[str]
    numbers: frozenset[str]

    @classmethod
    def of(cls, text: str) -> "_Words":
        plain = normalised(text)
        words = frozenset(_WORD.findall(plain))
        return cls(plain, words, frozenset(word for word in words if any(c.isdigit() for c in word)))


def _alike(one: _Words, other: _Words) -> bool:
    if one.normalised == other.normalised:
        return True
    if not one.words or not other.words or one.numbers != other.numbers:
        return False
    return len(one.words & other.words) >= ALIKE * len(one.words | other.words)


def _over(task: Task, now: datetime) -> bool:
    return task.expires_at is None or task.expires_at <= now


def _lost(task: Task, token: int) -> Refused | None:
    if token != task.token:
        return Refused(why=f"claim {token} was followed by claim {task.token}")
    if task.status is not TaskStatus.CLAIMED:
        return Refused(why=f"the task is {task.status}")
    return None


def _hash(*words: str) -> bytes:
    return hashlib.sha256("\0".join(words).encode("utf-8", "surrogatepass")).digest()
