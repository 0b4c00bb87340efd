"""Approvals as the API's edges use them: ask, look, wait, decide, withdraw."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from activities.approval_checks import mistakes
from activities.contracts.approvals import (
    APPROVE,
    DENY,
    Answer,
    ApprovalAsk,
    ApprovalRef,
    ApprovalStatus,
    Choice,
    Deciders,
    Decision,
    Escalation,
    Option,
    Scope,
    Surface,
    Verdict,
)
from activities.errors import ApprovalNotFound
from api.approval_models import ApprovalBody, DecisionBody
from api.approval_runs import Errands
from api.approval_waiting import Closings
from api.problems import FieldError, Problem, invalid
from infra.ids import new_id
from infra.postgres.approvals import PostgresApprovals, changed
from infra.postgres.keys import Caller, Role
from infra.postgres.people import PostgresPeople
from workflows.policy.approvals import approval_id, fingerprint, planned

NO_APPROVAL = "there is no approval of that id; GET /v1/approvals lists those there are"
# As asks call their fields, and as a request does.
_FIELDS = {
    r"^grant_ttl$": "grant_days",
    r"^reminders": "reminders_s",
    r"^fingerprint$": "arguments",
    r"\.after$": ".after_s",
}


def name_of(caller: Caller) -> str:
    """As whom a caller decides."""
    return caller.person or f"key:{caller.key_id}"


class Approvals:
    """Asks durably, decides in the database, and tells the approval's workflow behind the reply's back."""

    def __init__(
        self, rows: PostgresApprovals, people: PostgresPeople, errands: Errands, closings: Closings
    ) -> None:
        self._rows = rows
        self._people = people
        self._errands = errands
        self._closings = closings

    async def open(self, caller: Caller, body: ApprovalBody) -> tuple[str, bool]:
        """Asks; the approval's id, and whether it is a new one. Raises a 4xx `Problem`; nothing is stored then."""
        ask = planned(_ask(caller, body), datetime.now(UTC))
        for field, fault in mistakes(ask, datetime.now(UTC)):
            raise invalid(_named(field), fault)
        await self._check_people(ask)
        opened, new = await self._rows.opened(ask, name_of(caller), Surface.REST)
        if opened.decision is None:
            self._errands.wake(ApprovalRef(tenant_id=ask.tenant_id, approval_id=opened.approval_id))
        return opened.approval_id, new

    async def get(self, caller: Caller, approval: str) -> dict[str, Any]:
        """The approval with its audit trail. Raises `ApprovalNotFound`, also for another tenant's."""
        story = await self._rows.story(_ref(caller, approval))
        if story is None:
            raise ApprovalNotFound(NO_APPROVAL)
        return {key: value for key, value in story.items() if key != "ref"}

    async def page(
        self, caller: Caller, *, status: ApprovalStatus | None, before: str | None, limit: int
    ) -> list[dict[str, Any]] | None:
        """Up to `limit` approvals after the one called `before`, newest first; None where there is none."""
        return await self._rows.page(caller.tenant_id, status=status, before=before, limit=limit)

    async def closed(self, caller: Caller, approval: str, seconds: float) -> bool:
        """Whether the approval has been closed in the time, which an approval that is not there never is."""
        return await self._closings.closed(_ref(caller, approval), seconds)

    async def decide(self, caller: Caller, approval: str, body: DecisionBody) -> Answer:
        """Takes the caller's choice. Raises a `Problem` where it did not count, which says who decided."""
        if body.surface not in {Surface.REST, Surface.CLI}:
            raise invalid("surface", "must be rest or cli")
        choice = Choice(
            by=name_of(caller),
            option=body.option,
            scope=body.scope,
            surface=body.surface,
            note=body.note,
            roles=(caller.role.value,),
        )
        ref = _ref(caller, approval)
        answer = await self._rows.decide(ref, choice)
        self.heard(ref, answer)
        return counted(answer)

    async def cancel(self, caller: Caller, approval: str, note: str) -> None:
        """Withdraws the approval. Raises a `Problem` for whoever may not, and where it is closed already."""
        ref = _ref(caller, approval)
        answer = await self._rows.cancel(ref, name_of(caller), Surface.REST, note, (caller.role.value,))
        self.heard(ref, answer)
        counted(answer)

    def heard(self, ref: ApprovalRef, answer: Answer) -> None:
        """Tells whoever waits here, and the approval's workflow, what an answer has changed."""
        if changed(answer):
            if answer.decision is not None:
                self._closings.note(ref)
            self._errands.wake(ref)

    async def _check_people(self, ask: ApprovalAsk) -> None:
        steps = {"deciders": ask.deciders.people} | {
            f"deciders.then[{index}]": step.people for index, step in enumerate(ask.deciders.then)
        }
        named = {name for names in steps.values() for name in names if ":" not in name}
        unknown = await self._people.unknown(ask.tenant_id, sorted(named)) if named else set[str]()
        for place, names in steps.items():
            for index, name in enumerate(names):
                if name in unknown:
                    raise invalid(
                        f"{place}.people[{index}]", "is nobody; PUT /v1/people/{name} makes them known"
                    )


def counted(answer: Answer) -> Answer:
    """The answer, where it has changed something. Raises a `Problem` that says why not otherwise."""
    match answer.verdict:
        case Verdict.DECIDED | Verdict.COUNTED:
            return answer
        case Verdict.NOT_FOUND:
            raise ApprovalNotFound(NO_APPROVAL)
        case Verdict.STRANGER:
            problem = Problem(
                "not_a_decider",
                "you are not among those who may decide this",
                FieldError(field="by", message="may not decide this"),
            )
        case Verdict.UNKNOWN_OPTION:
            problem = invalid("option", "is not one of the approval's options")
        case Verdict.BAD_SCOPE:
            problem = invalid("scope", "this option of this approval does not reach so far")
        case Verdict.CLOSED:
            assert answer.decision is not None
            problem = Problem("approval_closed", told(answer.decision))
    if answer.decision is not None:
        problem.more = {"decision": answer.decision}
    raise problem


def told(decision: Decision) -> str:
    """Who decided and when, in words."""
    at = decision.decided_at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    match decision.status:
        case ApprovalStatus.EXPIRED:
            return f"the deadline decided {decision.option} at {at}"
        case ApprovalStatus.CANCELLED:
            return f"it was cancelled{' by ' + decision.by if decision.by else ''} at {at}"
        case _:
            return f"{decision.by} decided {decision.option} over {decision.surface} at {at}"


def _ref(caller: Caller, approval: str) -> ApprovalRef:
    if "\x00" in approval or len(approval) > 128:
        raise ApprovalNotFound(NO_APPROVAL)
    return ApprovalRef(tenant_id=caller.tenant_id, approval_id=approval)


def _ask(caller: Caller, body: ApprovalBody) -> ApprovalAsk:
    """The request as an ask, not checked yet."""
    if set(body.scopes) - {Scope.ONCE} and caller.role is Role.USER:
        # A grant answers other asks than the caller's own.
        raise invalid("scopes", "more than once needs an operator's or a service's key")
    if body.deadline is not None and body.expires_in_s is not None:
        raise invalid("expires_in_s", "either this or deadline is wanted, not both")
    deadline = body.deadline
    if body.expires_in_s is not None:
        deadline = datetime.now(UTC) + timedelta(seconds=body.expires_in_s)
    if deadline is not None and deadline.tzinfo is None:
        raise invalid("deadline", "has no time zone; write it like 2026-11-23T18:00:00Z")
    options = tuple(Option(key=o.key, label=o.label, approves=o.approves) for o in body.options or ())
    options = options or (APPROVE, DENY)
    default = body.default_option or next((o.key for o in options if not o.approves), None)
    if default is None:
        raise invalid("default_option", "is needed where every option approves")
    name = name_of(caller)
    return ApprovalAsk(
        tenant_id=caller.tenant_id,
        id=new_id("apr"),
        title=body.title,
        summary=body.summary,
        details=body.details,
        kind=body.kind,
        urgency=body.urgency,
        options=options,
        scopes=body.scopes,
        default_option=default,
        deadline=deadline,
        reminders=None
        if body.reminders_s is None
        else tuple(timedelta(seconds=before) for before in body.reminders_s),
        deciders=_deciders(body),
        requester=name,
        subject=body.subject,
        cost_usd=body.cost_usd,
        leaves_building=body.leaves_building,
        destination=body.destination,
        # Of this caller alone: nobody may lay an approval of theirs in the way of somebody else's.
        dedupe_key=approval_id("rest", name, body.dedupe_key) if body.dedupe_key else None,
        agent=body.agent,
        action=body.action,
        fingerprint="" if body.arguments is None else fingerprint(body.arguments),
        conversation_id=body.conversation_id,
        grant_ttl=timedelta(days=body.grant_days),
        grant_most_usd=body.grant_most_usd,
    )


def _deciders(body: ApprovalBody) -> Deciders:
    said = body.deciders
    first = Deciders(people=said.people, roles=said.roles, quorum=said.quorum)
    return replace(
        first,
        then=tuple(
            Escalation(
                after=timedelta(seconds=step.after_s),
                people=step.people,
                roles=step.roles,
                quorum=step.quorum,
            )
            for step in said.then
        ),
    )


def _named(field: str) -> str:
    for ours, theirs in _FIELDS.items():
        field = re.sub(ours, theirs, field)
    return field
