"""What may be asked of a person: the bounds of an ask, in the words of its fields."""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta

from activities.contracts.approvals import ApprovalAsk, Deciders, Escalation, Scope

MOST_TITLE_CHARS = 200
MOST_SUMMARY_CHARS = 2_000
MOST_DETAILS_CHARS = 10_000
MOST_WORDS_CHARS = 256
"""Of a requester, a subject, a destination, and of what grants go by."""
MOST_NOTE_CHARS = 2_000
MOST_LABEL_CHARS = 64
MOST_OPTIONS = 8
MOST_DECIDERS = 50
MOST_ESCALATIONS = 8
MOST_REMINDERS = 16
MOST_QUORUM = 50
LONGEST = timedelta(days=366)
"""An approval may stay open for so long, and a grant may stand."""

ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}", re.ASCII)
OPTION_KEY = re.compile(r"[a-z][a-z0-9_-]{0,31}", re.ASCII)
PERSON = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}", re.ASCII)
DECIDER = re.compile(rf"{PERSON.pattern}|(?:key|webhook):[A-Za-z0-9_]{{1,64}}", re.ASCII)
ROLE = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}", re.ASCII)

Mistakes = Iterator[tuple[str, str]]


def mistakes(ask: ApprovalAsk, now: datetime) -> Mistakes:
    """Field and fault of everything in the ask that cannot be."""
    yield from _texts(ask)
    yield from _options(ask)
    yield from _scopes(ask)
    yield from _times(ask, now)
    yield from _deciders("deciders", ask.deciders)
    if ask.cost_usd is not None and not 0 <= ask.cost_usd < 1e12:
        yield "cost_usd", "must be a number of dollars, 0 or more"
    if ask.grant_most_usd is not None and not 0 <= ask.grant_most_usd < 1e12:
        yield "grant_most_usd", "must be a number of dollars, 0 or more"


def _texts(ask: ApprovalAsk) -> Mistakes:
    if not ID.fullmatch(ask.id):
        yield "id", "must be up to 128 letters, digits, and _ . : - after the first"
    if not ask.title.strip():
        yield "title", "is empty; say what is to be decided"
    bounds = {
        "title": MOST_TITLE_CHARS,
        "summary": MOST_SUMMARY_CHARS,
        "details": MOST_DETAILS_CHARS,
        "requester": MOST_WORDS_CHARS,
        "subject": MOST_WORDS_CHARS,
        "destination": MOST_WORDS_CHARS,
        "agent": MOST_WORDS_CHARS,
        "action": MOST_WORDS_CHARS,
        "fingerprint": MOST_WORDS_CHARS,
        "conversation_id": MOST_WORDS_CHARS,
        "dedupe_key": MOST_WORDS_CHARS,
    }
    for field, most in bounds.items():
        text: str | None = getattr(ask, field)
        if text is not None and len(text) > most:
            yield field, f"has {len(text)} characters; {most} are the most"
        if text is not None and not is_text(text):
            yield field, "holds a NUL character or half a surrogate pair, which cannot be stored"
    if ask.dedupe_key == "":
        yield "dedupe_key", "is empty; leave it out"


def _options(ask: ApprovalAsk) -> Mistakes:
    if not 1 <= len(ask.options) <= MOST_OPTIONS:
        yield "options", f"1 to {MOST_OPTIONS} are wanted"
    keys = [option.key for option in ask.options]
    for index, option in enumerate(ask.options):
        if not OPTION_KEY.fullmatch(option.key):
            yield f"options[{index}].key", "must be up to 32 of a-z 0-9 _ -, and begin with a letter"
        if option.key in keys[:index]:
            yield f"options[{index}].key", "stands there twice"
        if not 1 <= len(option.label.strip()) <= MOST_LABEL_CHARS or not is_text(option.label):
            yield f"options[{index}].label", f"must be 1 to {MOST_LABEL_CHARS} characters"
    if ask.default_option not in keys:
        yield "default_option", f"must be one of the options: {', '.join(keys)}"


def _scopes(ask: ApprovalAsk) -> Mistakes:
    if Scope.ONCE not in ask.scopes:
        yield "scopes", "must have once in it"
    if len(set(ask.scopes)) != len(ask.scopes):
        yield "scopes", "has one twice"
    if set(ask.scopes) - {Scope.ONCE} and not (ask.agent and ask.action and ask.fingerprint):
        yield "scopes", "more than once needs agent, action and fingerprint, by which asks are alike"
    if Scope.CONVERSATION in ask.scopes and not ask.conversation_id:
        yield "scopes", "conversation needs a conversation_id"


def _times(ask: ApprovalAsk, now: datetime) -> Mistakes:
    if ask.deadline is not None:
        if ask.deadline.tzinfo is None:
            yield "deadline", "has no time zone; write it like 2026-11-23T18:00:00Z"
        elif ask.deadline <= now:
            yield "deadline", "is past"
        elif ask.deadline > now + LONGEST:
            yield "deadline", f"is more than {LONGEST.days} days away"
    if not timedelta(0) < ask.grant_ttl <= LONGEST:
        yield "grant_ttl", f"must be longer than nothing and at most {LONGEST.days} days"
    if len(ask.reminders or ()) > MOST_REMINDERS:
        yield "reminders", f"{MOST_REMINDERS} are the most"
    for index, before in enumerate(ask.reminders or ()):
        if not timedelta(0) < before <= LONGEST:
            yield f"reminders[{index}]", "must be a time before the deadline"


def _deciders(field: str, deciders: Deciders) -> Mistakes:
    yield from _named(field, deciders)
    if len(deciders.then) > MOST_ESCALATIONS:
        yield f"{field}.then", f"{MOST_ESCALATIONS} are the most"
    last = timedelta(0)
    for index, step in enumerate(deciders.then):
        place = f"{field}.then[{index}]"
        yield from _named(place, step)
        if not (step.people or step.roles):
            yield place, "must name people or roles"
        if not last < step.after <= LONGEST:
            yield f"{place}.after", "must be later than the step before it"
        last = max(last, step.after)


def _named(field: str, deciders: Deciders | Escalation) -> Mistakes:
    for kind, form, names in (("people", DECIDER, deciders.people), ("roles", ROLE, deciders.roles)):
        if len(names) > MOST_DECIDERS:
            yield f"{field}.{kind}", f"{MOST_DECIDERS} are the most"
        for index, name in enumerate(names):
            if not form.fullmatch(name):
                yield (
                    f"{field}.{kind}[{index}]",
                    f"is no name of a {'person' if kind == 'people' else 'role'}",
                )
    if not 1 <= deciders.quorum <= MOST_QUORUM:
        yield f"{field}.quorum", f"must be from 1 to {MOST_QUORUM}"
    elif deciders.people and not deciders.roles and deciders.quorum > len(set(deciders.people)):
        yield f"{field}.quorum", f"is more than the {len(set(deciders.people))} who may decide"


def is_text(text: str) -> bool:
    """Whether PostgreSQL can hold it."""
    return "\x00" not in text and not any("\ud800" <= character <= "\udfff" for character in text)
