"""Approvals of every kind, and cards drawn as a phone shows them: what the documentation links to."""

import textwrap
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from activities.contracts.approvals import (
    APPROVE,
    DENY,
    ApprovalKind,
    ApprovalRef,
    ApprovalStatus,
    ApprovalView,
    Deciders,
    Decision,
    Option,
    Scope,
    Surface,
    Urgency,
    Vote,
)
from infra.telegram import cards
from infra.telegram.cards import Rendered

GOLDEN = Path(__file__).parents[1] / "data" / "telegram_cards.md"
AT = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
ZONE = "Europe/Berlin"
WIDTH = 62

PLAIN = ApprovalView(
    ref=ApprovalRef(tenant_id="default", approval_id="appr_1"),
    title="Send the newsletter?",
    summary="1,204 readers. The draft was read by nobody but its author.",
    details="",
    kind=ApprovalKind.DECISION,
    urgency=Urgency.NORMAL,
    status=ApprovalStatus.OPEN,
    options=(APPROVE, DENY),
    scopes=(Scope.ONCE,),
    default_option="deny",
    deadline=AT + timedelta(hours=7),
    opened_at=AT,
    deciders=Deciders(people=("ann",)),
    quorum=1,
    requester="",
    subject="",
    cost_usd=None,
    leaves_building=False,
    destination="",
    agent="",
    action="",
    conversation_id=None,
    stage=0,
    reminded=0,
    revision=1,
)
ESCALATION = replace(
    PLAIN,
    title="This question would go to Claude",
    summary="“Prove that the scheduler never starves a tenant.” The reasoner is away.",
    kind=ApprovalKind.ESCALATION,
    scopes=(Scope.ONCE, Scope.CONVERSATION),
    options=(
        Option(key="approve", label="Ask Claude", approves=True),
        Option(key="deny", label="No", approves=False),
    ),
    requester="key laptop",
    subject="turn_01k5h6v9c2m8r4t0x3z7q5w1ne",
    cost_usd=0.031,
    leaves_building=True,
    destination="Anthropic (claude-opus)",
    conversation_id="conv_1",
    deadline=AT + timedelta(minutes=10),
)
SPEND = replace(
    PLAIN,
    title="Rent an RTX 5090 for up to 4 hours",
    summary="The queue of llm-reasoner has been an hour long for 20 minutes.",
    details="Offers that were ranked: ...",
    kind=ApprovalKind.SPEND,
    urgency=Urgency.HIGH,
    requester="burst/lease_7",
    subject="llm-reasoner",
    cost_usd=1.48,
    leaves_building=True,
    destination="Vast.ai, Sweden",
    quorum=2,
    votes=(
        Vote(
            by="bob",
            option="approve",
            scope=Scope.ONCE,
            surface=Surface.REST,
            note="until six at most",
            at=AT,
        ),
    ),
)
TOOL = replace(
    PLAIN,
    title="Run a shell command",
    summary="rm -rf build/\n\nin the sandbox of the job",
    details="{...}",
    kind=ApprovalKind.TOOL,
    scopes=(Scope.ONCE, Scope.CONVERSATION, Scope.ALWAYS),
    agent="coder",
    action="shell.run",
    conversation_id="conv_1",
)
DEPLOY = replace(
    PLAIN,
    title="Deploy agent coder v12",
    summary="",
    kind=ApprovalKind.DEPLOY,
    urgency=Urgency.LOW,
    options=(
        Option(key="all", label="Deploy to everyone", approves=True),
        Option(key="canary", label="Deploy to one in ten", approves=True),
        Option(key="wait", label="Not yet", approves=False),
    ),
    default_option="wait",
    requester="ann",
    subject="agent coder",
)


def _ended(view: ApprovalView, **how: object) -> ApprovalView:
    decision = Decision(
        **{
            "approval_id": view.ref.approval_id,
            "status": ApprovalStatus.DECIDED,
            "option": "approve",
            "approved": True,
            "decided_at": AT + timedelta(minutes=4),
            **how,
        }  # type: ignore[arg-type]
    )
    return replace(view, status=decision.status, decision=decision)


DECIDED = _ended(
    TOOL, by="ann", surface=Surface.TELEGRAM, scope=Scope.CONVERSATION, note="only in the sandbox"
)
DENIED = _ended(SPEND, by="bob", surface=Surface.CLI, option="deny", approved=False, note="use the other box")
EXPIRED = _ended(
    ESCALATION, status=ApprovalStatus.EXPIRED, option="deny", approved=False, surface=Surface.CLOCK
)
CANCELLED = _ended(
    PLAIN, status=ApprovalStatus.CANCELLED, option="", approved=False, surface=Surface.WORKFLOW
)

CARDS = {
    "A decision": PLAIN,
    "An escalation: a question that would leave the building": ESCALATION,
    "Spending, by two persons, one of whom has said yes": SPEND,
    "A tool call, with scopes": TOOL,
    "A deployment, with options of its own": DEPLOY,
    "Decided: the same card, for everyone who got it": DECIDED,
    "Denied on the command line": DENIED,
    "Expired": EXPIRED,
    "Withdrawn": CANCELLED,
}


def document() -> str:
    """All of them, as tests/data/telegram_cards.md has them."""
    parts = [
        "# Cards on Telegram",
        "As a person in Berlin sees them; the title is bold. A test keeps this page current.",
    ]
    for name, view in CARDS.items():
        parts.append(f"## {name}")
        parts.append(f"```\n{drawn(cards.card(view, ZONE))}\n```")
    parts.append("## A reminder, as a reply to its card")
    parts.append(f"```\n{drawn(cards.reminder(PLAIN, ZONE))}\n```")
    return "\n\n".join(parts) + "\n"


def drawn(message: Rendered) -> str:
    """The message in a frame, with its buttons below."""
    lines = [f"│ {line}".rstrip() for line in _wrapped(message.text)]
    rows = ["  ".join(f"[ {label} ]" for label, _ in row) for row in message.rows]
    return "\n".join(["╭" + "─" * WIDTH, *lines, "╰" + "─" * WIDTH, *(f"  {row}" for row in rows)])


def _wrapped(text: str) -> Iterator[str]:
    for line in text.split("\n"):
        yield from textwrap.wrap(line, WIDTH - 2, subsequent_indent="| " if line[:2] == "| " else "") or [""]
