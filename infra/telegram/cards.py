"""What a card says, and which buttons it has: of an approval alone, without Telegram."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from activities.contracts.approvals import (
    ApprovalKind,
    ApprovalStatus,
    ApprovalView,
    Decision,
    Option,
    Scope,
    Surface,
    Urgency,
)
from infra.postgres.telegram_cards import Press, Verb
from infra.telegram import wording

TITLE, SUMMARY, FACT, NOTE, LABEL = 200, 1200, 120, 300, 48
"""The most of each, in UTF-16 units. All of them together stay below what a message may hold."""
DETAIL_MESSAGES = 3
VOTES_MOST = 3

KINDS = {
    ApprovalKind.DECISION: "A decision",
    ApprovalKind.SPEND: "Spending",
    ApprovalKind.ESCALATION: "A dearer or outside model",
    ApprovalKind.TOOL: "A tool call",
    ApprovalKind.DEPLOY: "A deployment",
}
URGENCY = {Urgency.LOW: ", not urgent", Urgency.NORMAL: "", Urgency.HIGH: ", URGENT"}
REACH = {
    Scope.ONCE: "once",
    Scope.CONVERSATION: "for this conversation",
    Scope.ALWAYS: "always",
}
THROUGH = {
    Surface.REST: "by the API",
    Surface.CLI: "on the command line",
    Surface.TELEGRAM: "on Telegram",
    Surface.WEBHOOK: "by webhook",
    Surface.GRANT: "by an earlier grant",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """A message: its text, of which the title is bold, and rows of buttons as label and meaning."""

    text: str
    title: str
    rows: tuple[tuple[tuple[str, Press], ...], ...] = ()

    @property
    def digest(self) -> str:
        """What tells that it has changed."""
        return hashlib.sha256(repr((self.text, self.rows)).encode()).hexdigest()[:32]


def card(view: ApprovalView, time_zone: str) -> Rendered:
    """The approval as it stands: with buttons while it is open, else with its outcome. Times in this zone."""
    title = wording.line(view.title, TITLE) or "Untitled"
    top = list(_outcome(view, view.decision, time_zone)) if view.decision else [_heading(view)]
    parts = ["\n".join(top), title, wording.quoted(view.summary, SUMMARY), "\n".join(_facts(view, time_zone))]
    if view.status is ApprovalStatus.OPEN:
        parts.append("Reply to this message to add a note to your choice.")
    return Rendered(text="\n\n".join(part for part in parts if part), title=title, rows=tuple(_rows(view)))


def presses(view: ApprovalView) -> list[Press]:
    """Everything that may be pressed on cards of this approval."""
    return [
        *(Press(verb=Verb.CHOOSE, option=option.key, scope=scope.value) for option, scope in _choices(view)),
        Press(verb=Verb.DETAILS),
    ]


def reminder(view: ApprovalView, time_zone: str) -> Rendered:
    """What is sent below a card whose deadline comes nearer."""
    title = wording.line(view.title, TITLE) or "Untitled"
    return Rendered(text=f"Still open:\n\n{title}\n\n{_deadline(view, time_zone)}", title=title)


def details(view: ApprovalView) -> list[str]:
    """What the card has no room for, as messages; empty where the card says it all."""
    whole = view.summary if wording.quoted(view.summary, SUMMARY).endswith("…") else ""
    text = "\n\n".join(part for part in (whole.strip(), view.details.strip()) if part)
    found = wording.pieces(text, DETAIL_MESSAGES)
    if found and found[-1].endswith("…") and not text.endswith("…"):
        pointer = f"\n\n`aither approvals show {view.ref.approval_id}` has the rest."
        found[-1] = wording.cut(found[-1], wording.MESSAGE_UNITS - wording.units(pointer)) + pointer
    return found


def outcome(view: ApprovalView, decision: Decision, time_zone: str) -> str:
    """How it ended, in a line."""
    return next(_outcome(view, decision, time_zone))


def _heading(view: ApprovalView) -> str:
    return f"❓ {KINDS[view.kind]} needs a yes or no{URGENCY[view.urgency]}"


def _outcome(view: ApprovalView, decision: Decision, time_zone: str) -> Iterator[str]:
    at = wording.moment(decision.decided_at, time_zone)
    label = _label(view, decision.option)
    match decision.status:
        case ApprovalStatus.EXPIRED:
            yield f"⌛ Nobody decided in time, so: {label} ({at})"
        case ApprovalStatus.CANCELLED:
            yield f"⚪ Withdrawn, no decision is needed any more ({at})"
        case _:
            reach = "" if decision.scope is Scope.ONCE else f" {REACH[decision.scope]}"
            mark = "✅" if decision.approved else "⛔"
            who = (
                f"{wording.line(decision.by, FACT) or 'nobody'} {THROUGH.get(decision.surface, '')}".rstrip()
            )
            yield f"{mark} {label}{reach}: {who}, {at}"
    if decision.note:
        yield f"Note: {wording.line(decision.note, NOTE)}"


def _facts(view: ApprovalView, time_zone: str) -> Iterator[str]:
    told = {
        "Asked by": view.requester,
        "About": view.subject,
        "Agent": ", ".join(each for each in (view.agent, view.action) if each),
    }
    for name, value in told.items():
        if words := wording.line(value, FACT):
            yield f"{name}: {words}"
    if view.cost_usd is not None:
        yield f"Cost: about {wording.usd(view.cost_usd)}"
    where = wording.line(view.destination, FACT)
    if view.leaves_building:
        yield f"Data: LEAVES THE BUILDING{f', to {where}' if where else ''}"
    else:
        yield f"Data: stays in the building{f' ({where})' if where else ''}"
    if view.status is ApprovalStatus.OPEN:
        yield from _standing(view)
        yield _deadline(view, time_zone)


def _standing(view: ApprovalView) -> Iterator[str]:
    if view.quorum > 1:
        yield f"Needs: {view.quorum} persons who say the same"
    for vote in view.votes[:VOTES_MOST]:
        note = f" ({wording.line(vote.note, FACT)})" if vote.note else ""
        yield f"So far: {wording.line(vote.by, FACT)} says {_label(view, vote.option)}{note}"


def _deadline(view: ApprovalView, time_zone: str) -> str:
    at = wording.moment(view.deadline, time_zone)
    return f"Until: {at}; after that: {_label(view, view.default_option)}"


def _label(view: ApprovalView, key: str) -> str:
    option = view.option(key)
    return wording.line(option.label if option else key, LABEL)


def _choices(view: ApprovalView) -> Iterator[tuple[Option, Scope]]:
    for option in view.options:
        for scope in view.scopes if option.approves else (Scope.ONCE,):
            yield option, scope


def _rows(view: ApprovalView) -> Iterator[tuple[tuple[str, Press], ...]]:
    if view.status is ApprovalStatus.OPEN:
        scoped = len(view.scopes) > 1
        found: list[tuple[str, Press]] = []
        for option, scope in _choices(view):
            label = wording.line(option.label, LABEL) or option.key
            if scoped and option.approves:
                label = f"{label} {REACH[scope]}"
            found.append((label, Press(verb=Verb.CHOOSE, option=option.key, scope=scope.value)))
        yield from _laid_out(found, beside=not scoped)
    if details(view):
        yield (("Details", Press(verb=Verb.DETAILS)),)


def _laid_out(found: Sequence[tuple[str, Press]], *, beside: bool) -> Iterator[tuple[tuple[str, Press], ...]]:
    """Two short ones fit beside each other on a phone; longer ones, and those that differ by a word, do not."""
    if beside and len(found) == 2 and all(len(label) <= 16 for label, _ in found):
        yield tuple(found)
        return
    for each in found:
        yield (each,)
