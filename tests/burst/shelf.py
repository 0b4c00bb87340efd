"""Leases in memory, on a clock of the test's: the same store, to be held against the real one and to be hurried."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from activities.contracts.lease_views import (
    Creation,
    EndCode,
    LeaseAsk,
    LeaseNote,
    LeaseView,
    Spending,
    lease_label,
)
from activities.contracts.leases import Instance, LeaseState, RankedOffer
from activities.errors import LeaseNotFound
from activities.leasing_ports import Guard

START = datetime(2026, 11, 15, 12, tzinfo=UTC)
UNWATCHED_S = 90.0


class Clock:
    """Seconds since the start; whoever takes time says how much."""

    def __init__(self) -> None:
        self.s = 0.0

    def __call__(self) -> float:
        return self.s

    @property
    def now(self) -> datetime:
        return START + timedelta(seconds=self.s)


@dataclass
class Told:
    lease_id: str
    actor: str
    event: str
    told: str


class Shelf:
    """A `LeaseStore` and `RecentLeases`. `lives` says from when to when a label had a live lease that knew it."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.rows: dict[str, LeaseView] = {}
        self.looked: dict[str, datetime] = {}
        self.spent: dict[str, float] = {}
        self.billed: dict[tuple[str, int], datetime] = {}
        self.audit: list[Told] = []
        self.lives: dict[str, list[tuple[float, float | None]]] = {}

    # --- reading

    async def lease(self, lease_id: str) -> LeaseView:
        if lease_id not in self.rows:
            raise LeaseNotFound(lease_id)
        return self._whole(self.rows[lease_id])

    async def watch(self, lease_id: str) -> LeaseView:
        now, last = self.clock.now, self.looked.get(lease_id)
        if last is None or (now - last).total_seconds() >= UNWATCHED_S:
            self.rows[lease_id] = replace(self.rows[lease_id], watched_since=now)
        self.looked[lease_id] = now
        return await self.lease(lease_id)

    async def leases(self, ids: Sequence[str]) -> Sequence[LeaseView]:
        return [self._whole(self.rows[each]) for each in ids if each in self.rows]

    async def open_leases(self) -> Sequence[LeaseView]:
        return [self._whole(row) for row in self.rows.values() if not row.state.ended]

    async def recent(self, within: timedelta) -> Sequence[LeaseView]:
        since = self.clock.now - within
        return [
            self._whole(row) for row in self.rows.values() if row.ended_at is None or row.ended_at > since
        ]

    async def spending(self) -> Spending:
        spent = sum(self.spent.values())
        return Spending(day_usd=spent, month_usd=spent)

    # --- changing

    async def ask(self, ask: LeaseAsk) -> bool:
        if ask.id in self.rows:
            return False
        now, plan = self.clock.now, ask.plan
        self.rows[ask.id] = LeaseView(
            id=ask.id,
            purpose=plan.purpose,
            pool=plan.pool,
            state=LeaseState.ASKED,
            why=ask.why,
            asked_by=ask.asked_by,
            plan=plan,
            asked_at=now,
            state_at=now,
            now=now,
        )
        self._say(ask.id, ask.asked_by, "asked", ask.why)
        return True

    async def quoted(self, lease_id: str, choices: Sequence[RankedOffer], why: str) -> None:
        row = self._in(lease_id, LeaseState.ASKED, LeaseState.APPROVED)
        if row:
            self._write(row, "quoted", why, choices=tuple(choices), quotes=row.quotes + 1)

    async def agree(self, lease_id: str, approval_id: str, by: str) -> None:
        if row := self._in(lease_id, LeaseState.ASKED):
            self._write(row, "agreed", "", approval_id=approval_id, approved_by=by)

    async def intend(self, lease_id: str, guard: Guard) -> LeaseView | None:
        row = self._in(lease_id, LeaseState.APPROVED)
        if row is None or row.ending_code is not None or not row.choices:
            return None
        others = [
            self._whole(each) for each in self.rows.values() if each.id != lease_id and not each.state.ended
        ]
        refusal = guard(await self.spending(), [self._whole(row), *others])
        if refusal is not None:
            self._write(row, "ending", refusal.why, ending=refusal.why, ending_code=refusal.code)
            return None
        best, attempt = row.choices[0], row.attempt + 1
        label = lease_label(row.plan.installation, lease_id, attempt)
        self._move(
            self._without_box(row),
            LeaseState.RENTING,
            label,
            attempt=attempt,
            label=label,
            creation=Creation.INTENDED,
            offer=best,
            choices=row.choices[1:],
            machine=best.offer.machine,
            usd_per_hour=best.offer.usd_per_hour + best.storage_usd_per_hour,
            intended_at=self.clock.now,
        )
        return await self.lease(lease_id)

    async def made(self, lease_id: str, attempt: int, instance: str) -> None:
        row = self._in(lease_id, LeaseState.RENTING, attempt=attempt)
        if row:
            assert row.intended_at
            self._move(
                row,
                LeaseState.BOOTING,
                f"instance {instance}",
                creation=Creation.MADE,
                instance=instance,
                boxes=row.boxes + 1,
                unseen_since=None,
            )
            once = row.offer.download_usd if row.offer else 0.0
            self._book(row, row.intended_at, once)

    async def void(self, lease_id: str, attempt: int, why: str, *, keep: bool = False) -> None:
        row = self._in(lease_id, LeaseState.RENTING, attempt=attempt)
        if row:
            choices = (row.offer, *row.choices) if keep and row.offer else row.choices
            self._move(
                self._without_box(row), LeaseState.APPROVED, why, creation=Creation.VOID, choices=choices
            )

    async def seen(self, lease_id: str, attempt: int, instance: Instance) -> None:
        row = self._with_box(lease_id, attempt)
        if row:
            price = row.usd_per_hour
            if instance.usd_per_hour is not None:
                price = instance.usd_per_hour + (instance.storage_usd_per_hour or 0.0)
            self._bill(row, max(price, row.usd_per_hour))
            fresh = self.rows[lease_id]
            self.rows[lease_id] = replace(
                fresh,
                box_state=instance.state,
                unseen_since=None,
                usd_per_hour=price,
                machine=instance.machine or row.machine,
                address=row.address or instance.address,
            )

    async def unseen(self, lease_id: str, attempt: int) -> None:
        row = self._with_box(lease_id, attempt)
        if row:
            self._bill(row, row.usd_per_hour)
            if row.unseen_since is None:
                self._write(self.rows[lease_id], "unseen", "", unseen_since=self.clock.now)

    async def move(self, note: LeaseNote, came_from: Sequence[LeaseState]) -> None:
        row = self._in(note.lease_id, *came_from)
        if row is None:
            return
        if note.ending is not None and row.ending_code is None:
            row = self._write(row, "ending", note.why, ending=note.why, ending_code=note.ending)
        if note.exclude_machine and row.machine:
            row = replace(row, machines_out=tuple(sorted({*row.machines_out, row.machine})))
        if note.to is LeaseState.DESTROYING:
            row = replace(row, unseen_since=None)
        if row.state is LeaseState.DESTROYING:
            self.rows[row.id] = row
            self._bill(row, row.usd_per_hour)
            row = replace(self.rows[row.id], usd_per_hour=0.0, calls=0)
            if note.to is LeaseState.APPROVED:
                row = replace(self._without_box(row), creation=Creation.NONE, choices=(), quotes=0)
        stamps = {"served_at": self.clock.now} if note.to is LeaseState.SERVING else {}
        stamps |= {"ended_at": self.clock.now} if note.to.ended else {}
        self._move(row, note.to, note.why, **stamps)

    async def want_end(self, lease_id: str, code: EndCode, why: str, actor: str) -> bool:
        row = self.rows.get(lease_id)
        if row is None:
            raise LeaseNotFound(lease_id)
        if row.state.ended or row.ending_code is not None:
            return False
        self._write(row, "ending", why, ending=why, ending_code=code)
        return True

    async def record(self, lease_id: str, actor: str, event: str, told: str = "") -> None:
        self._say(lease_id, actor, event, told)

    # --- what the box says, as the SQL functions take it

    def join(self, lease_id: str, attempt: int, instance: str | None) -> bool:
        row = self._in(lease_id, LeaseState.RENTING, LeaseState.BOOTING, LeaseState.JOINING, attempt=attempt)
        if row is None or row.joined_at is not None or row.ending_code is not None:
            return False
        if instance is not None and row.instance is not None and row.instance != instance:
            return False
        now = self.clock.now
        self.rows[lease_id] = replace(row, joined_at=now, heard_at=now, busy_at=now)
        return True

    def hear(self, lease_id: str, attempt: int, calls: int, tokens: int) -> LeaseState | None:
        row = self._with_box(lease_id, attempt)
        if row is None or row.joined_at is None or row.state is LeaseState.DESTROYING:
            return None
        busy = self.clock.now if calls > 0 or tokens > row.tokens else row.busy_at
        self.rows[lease_id] = replace(
            row, heard_at=self.clock.now, calls=calls, busy_at=busy, tokens=max(tokens, row.tokens)
        )
        return row.state

    # --- how

    def _in(self, lease_id: str, *states: LeaseState, attempt: int | None = None) -> LeaseView | None:
        row = self.rows.get(lease_id)
        if row is None:
            raise LeaseNotFound(lease_id)
        return row if row.state in states and attempt in {None, row.attempt} else None

    def _with_box(self, lease_id: str, attempt: int) -> LeaseView | None:
        return self._in(lease_id, *(s for s in LeaseState if s.may_have_a_box), attempt=attempt)

    def _whole(self, row: LeaseView) -> LeaseView:
        ends = [
            self.billed[row.id, each] for each in range(1, row.attempt + 1) if (row.id, each) in self.billed
        ]
        return replace(
            row,
            spent_usd=self.spent.get(row.id, 0.0),
            billed_to=max(ends, default=None),
            now=self.clock.now,
        )

    def _book(self, row: LeaseView, to: datetime, usd: float) -> None:
        self.spent[row.id] = self.spent.get(row.id, 0.0) + usd
        self.billed[row.id, row.attempt] = to

    def _bill(self, row: LeaseView, usd_per_hour: float) -> None:
        if row.creation is not Creation.MADE:
            return
        assert row.intended_at
        begun = self.billed.get((row.id, row.attempt), row.intended_at)
        seconds = (self.clock.now - begun).total_seconds()
        if seconds > 0:
            self._book(row, self.clock.now, usd_per_hour * seconds / 3600)

    @staticmethod
    def _without_box(row: LeaseView) -> LeaseView:
        return replace(
            row,
            instance=None,
            machine=None,
            address=None,
            box_state="",
            unseen_since=None,
            joined_at=None,
            heard_at=None,
            busy_at=None,
            calls=0,
            usd_per_hour=0.0,
        )

    def _write(self, row: LeaseView, event: str, told: str, **fields: object) -> LeaseView:
        self.rows[row.id] = replace(row, **fields)  # pyright: ignore[reportArgumentType]
        self._say(row.id, "workflow", event, told)
        return self.rows[row.id]

    def _move(self, row: LeaseView, to: LeaseState, why: str, **fields: object) -> None:
        self._write(row, to.value, why, state=to, state_at=self.clock.now, why=why, **fields)
        after = self.rows[row.id]
        if to is LeaseState.RENTING:
            assert after.label
            self.lives[after.label] = [(self.clock(), None)]
        elif not to.may_have_a_box and row.label in self.lives and self.lives[row.label][-1][1] is None:
            self.lives[row.label][-1] = (self.lives[row.label][-1][0], self.clock())

    def _say(self, lease_id: str, actor: str, event: str, told: str) -> None:
        self.audit.append(Told(lease_id, actor, event, told))
