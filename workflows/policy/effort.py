"""How much effort a prompt deserves, 1 to 10, by rules; and what an effort gives access to.

Effort scales depth and spend, never authority: it opens the reason chain, and no policy.
"""

import re

from activities.contracts.policy import EffortBands, Estimate, Intent, ReasonAccess
from workflows.policy import function_words
from workflows.policy.intent import asks, judge
from workflows.policy.reading import Reading, matched, read, vocabulary

HARDEST = 5
"""Points that hard words bring at most; 9 and 10 are out of reach without all of them."""
LONG = 20
"""So many words make a prompt a long one."""

_USUAL = {
    Intent.CONVERSATION: 1,
    Intent.QUESTION: 3,
    Intent.ANALYSIS: 5,
    Intent.CREATION: 3,
    Intent.DOCUMENT: 3,
    Intent.GENERATION: 3,
    Intent.COMMAND: 2,
    Intent.RESEARCH: 7,
    Intent.PLANNING: 4,
    Intent.BUSINESS: 5,
    Intent.CALENDAR: 2,
    Intent.EMAIL: 2,
}
_HARD = {word: points for points, words in function_words.HARD.items() for word in words.split()}
_HARD_WORDS = vocabulary(" ".join(function_words.HARD.values()))
_HARD_SIGNS = tuple(function_words.HARD_SIGNS.split())
_EASY = vocabulary(function_words.EASY)
_LOOK_UP = vocabulary(function_words.LOOK_UP)
_LONG_ANSWER = re.compile(r"\b(?:\d{4,} words|\d{1,3}[ -]pages?|\d{4,} wörter|\d{1,3} seiten)\b")
_SEPARATORS = (*",;、，；", " and ", " und ", " et ", " y ", " и ", "\n- ", "\n* ", "\n1.", "\n2.", "\n3.")
_FIGURE = re.compile(r"\d[\d.,]*")
_MACHINE = ("traceback", "```", "exception", "stack trace", "{\n", ";\n", "=>", "!=", "==", "seq scan")


def estimate(text: str) -> Estimate:
    """Intent and effort of a prompt. Never raises, whatever the string holds."""
    reading = read(text)
    intent, intent_why = judge(reading)
    effort, effort_why = _effort(reading, intent)
    return Estimate(intent=intent, intent_why=intent_why, effort=effort, effort_why=effort_why)


def reason_access(effort: int, bands: EffortBands) -> ReasonAccess:
    """Whether a turn of this effort may, or must, consult the reason chain."""
    return bands.access(effort)


def _effort(reading: Reading, intent: Intent) -> tuple[int, str]:
    """The intent's usual effort, moved by what makes a prompt harder or easier."""
    hard = _hardness(reading)
    moves = [*hard, *_size(reading, intent), *_ease(reading, intent, bool(hard))]
    raw = _USUAL[intent] + sum(points for points, _ in moves)
    most = 10 if sum(points for points, _ in hard) >= HARDEST else 8
    why = ", ".join(f"{points:+d} {reason}" for points, reason in moves)
    return min(most, max(1, raw)), f"{intent} {_USUAL[intent]}{', ' if why else ''}{why}"


def _hardness(reading: Reading) -> list[tuple[int, str]]:
    """Words that promise hard thinking."""
    found: dict[str, int] = {}
    for words in reading.segments:
        for word in words:
            entry = matched(word, _HARD_WORDS)
            if entry:
                found[entry] = _HARD[entry]
    if reading.unspaced:
        found.update({sign: 1 for sign in _HARD_SIGNS if sign in reading.text})
    if not found:
        return []
    return [(min(HARDEST, sum(found.values())), f"for {', '.join(sorted(found)[:5])}")]


def _size(reading: Reading, intent: Intent) -> list[tuple[int, str]]:
    """How much is asked at once. A text that is only to be reworked is not hard for being long."""
    if intent is Intent.CONVERSATION:
        return []
    moves: list[tuple[int, str]] = []
    parts = sum(map(reading.text.count, _SEPARATORS))
    if parts >= 4:
        moves.append((2 if parts >= 7 else 1, f"for {parts} parts"))
    if len(_FIGURE.findall(reading.text)) >= 4:
        moves.append((1, "for its figures"))
    if sum(asks(words) for words in reading.segments) >= 2:
        moves.append((1, "for several questions"))
    if intent is Intent.ANALYSIS and any(sign in reading.text for sign in _MACHINE):
        moves.append((1, "for code or a trace"))
    if _LONG_ANSWER.search(reading.text):
        moves.append((2, "for the length that is wanted"))
    if intent is not Intent.DOCUMENT and reading.words >= LONG:
        moves.append((2 if reading.words >= 2 * LONG else 1, f"for {reading.words} words"))
    return moves


def _ease(reading: Reading, intent: Intent, hard: bool) -> list[tuple[int, str]]:
    """What promises that little is wanted."""
    if hard:
        return []
    moves: list[tuple[int, str]] = []
    easy = next((word for words in reading.segments for word in words if word in _EASY), None)
    if easy:
        moves.append((-1, f"for '{easy}'"))
    if reading.words <= 9 and not reading.unspaced:
        moves.append((-1, "for being short"))
    if intent is Intent.RESEARCH and reading.segments and reading.segments[0][0] in _LOOK_UP:
        moves.append((-1, "for a mere look-up"))
    return moves
