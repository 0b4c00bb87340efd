"""Which of the twelve intents a prompt has, by rules: what it starts with, what it is about, how it asks.

Deterministic and total. Points are added up over the sentences, and the intent with most of them wins.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from activities.contracts.policy import Intent
from workflows.policy import function_words, lexicon, nouns
from workflows.policy.reading import Reading, matched, vocabulary

# When two intents score alike, the one that is told apart by fewer words goes first.
_ORDER = (
    Intent.CALENDAR,
    Intent.EMAIL,
    Intent.RESEARCH,
    Intent.CREATION,
    Intent.GENERATION,
    Intent.DOCUMENT,
    Intent.PLANNING,
    Intent.BUSINESS,
    Intent.ANALYSIS,
    Intent.COMMAND,
    Intent.QUESTION,
    Intent.CONVERSATION,
)


def by_word(table: dict[Intent, str], comma: bool = False) -> dict[str, tuple[Intent, ...]]:
    """A lexicon table turned round: every word, or pair of words, with the intents that it speaks for."""
    found: dict[str, tuple[Intent, ...]] = {}
    for intent, words in table.items():
        for word in words.split(",") if comma else words.split():
            key = " ".join(word.split())
            found[key] = (*found.get(key, ()), intent)
    return found


_VERBS = by_word(lexicon.VERBS)
_NOUNS = by_word(nouns.NOUNS)
_PAIRS = by_word(lexicon.PAIRS, comma=True)
_SIGNS = by_word(lexicon.SIGNS)
_STRONG = vocabulary(function_words.STRONG)
_WEAK = vocabulary(function_words.WEAK)
_MAKE = vocabulary(function_words.MAKE)
_ASKING = vocabulary(function_words.ASKING)
_POLITE = vocabulary(function_words.POLITE)
_MADE = frozenset({Intent.GENERATION, Intent.CREATION, Intent.DOCUMENT, Intent.COMMAND})
_OWN = vocabulary(function_words.OWN)
_COMPOUNDS = tuple(function_words.COMPOUNDS.split())
_SELF = frozenset({"i", "i'm", "i've", "i'd", "we", "ich", "je", "yo", "io", "eu", "я", "my", "it's", "you"})


@dataclass(slots=True)
class _Tally:
    scores: dict[Intent, float]
    told: dict[Intent, list[str]]

    def add(self, intent: Intent, points: float, word: str) -> None:
        self.scores[intent] = self.scores.get(intent, 0.0) + points
        self.told.setdefault(intent, []).append(word)


def judge(reading: Reading) -> tuple[Intent, str]:
    """The intent, and the words and points that spoke for it."""
    tally = _Tally({}, {})
    last = len(reading.segments) - 1
    for place, words in enumerate(reading.segments):
        weight = 1.0 if place == 0 else 0.7 if place == last else 0.4
        _weigh(words, weight, tally)
    if _about_given(reading):
        tally.add(Intent.ANALYSIS, 2.0, "a question about what was given")
    if reading.unspaced:
        for sign, intents in _SIGNS.items():
            if sign in reading.text:
                for intent in intents:
                    tally.add(intent, 2.0 if intent is Intent.QUESTION else 3.0, sign)
    if not tally.scores:
        return _unknown(reading)
    ranked = sorted(_ORDER, key=lambda intent: -tally.scores.get(intent, 0.0))
    best, second = ranked[0], ranked[1]
    said = ", ".join(dict.fromkeys(tally.told[best]))
    rival = f"; {second} {tally.scores[second]:.1f}" if second in tally.scores else ""
    return best, f"{best} {tally.scores[best]:.1f} for {said[:80]}{rival}"


def asks(words: tuple[str, ...]) -> bool:
    """Whether a sentence starts as a question does."""
    lead = words[_start(words)]
    return lead in _ASKING or (words[0] in _ASKING and lead not in _MAKE and matched(lead, _VERBS) is None)


def known(word: str, table: dict[str, tuple[Intent, ...]]) -> Iterator[tuple[Intent, str]]:
    """The intents that a word speaks for, and the lexicon's entry that says so."""
    entry = matched(word, table)
    if entry:
        for intent in table[entry]:
            yield intent, entry


def _noun(word: str) -> str | None:
    """The noun that a word is, or is put together from."""
    entry = matched(word, _NOUNS)
    if entry is None and "-" in word:
        return next((part for part in word.split("-") if part in _NOUNS), None)
    if entry is None and len(word) > 8 and word.endswith(_COMPOUNDS):
        return next((end for end in _COMPOUNDS if word.endswith(end) and end in _NOUNS), None)
    return entry


def _start(words: tuple[str, ...]) -> int:
    """Where a sentence begins once politeness is taken off; 0 if nothing else is there."""
    for place, word in enumerate(words):
        if word not in _POLITE:
            return place
    return 0


@dataclass(frozen=True, slots=True)
class _Manner:
    """How a sentence speaks: it asks, has something made, tells; and whether of the asker's own affairs."""

    asking: bool
    making: bool
    telling: bool
    own: bool

    def trust(self, intent: Intent) -> float:
        """How far a noun can be believed: a question about mail is no request to write one."""
        if intent is Intent.BUSINESS and (self.own or self.asking):
            return 1.3
        if self.own and intent in (Intent.CALENDAR, Intent.EMAIL):
            return 1.3
        return 0.6 if self.asking and intent is not Intent.RESEARCH else 1.0


def _weigh(words: tuple[str, ...], weight: float, tally: _Tally) -> None:
    """Adds what one sentence says."""
    start = _start(words)
    lead, asking = words[start], asks(words)
    making = lead in _MAKE
    telling = words[0] in _SELF and not making and not asking
    manner = _Manner(asking, making, telling, own=not _OWN.isdisjoint(words))
    for intent, entry in known(lead, _VERBS):
        tally.add(intent, 4.5 * weight, entry)
    if start:
        for intent, entry in known(words[0], _VERBS):
            tally.add(intent, 2.0 * weight, entry)
    if asking:
        tally.add(Intent.QUESTION, 3.0 * weight, "a question")
    elif telling:
        tally.add(Intent.CONVERSATION, 1.5 * weight, "a remark")
    _weigh_nouns(words[start:], weight, manner, tally)
    for first, second in pairwise(words):
        for intent in _PAIRS.get(f"{first} {second}", ()):
            doubt = 0.6 if asking and intent in _MADE else 1.0
            tally.add(intent, 3.2 * weight * doubt, f"{first} {second}")


def _weigh_nouns(words: tuple[str, ...], weight: float, manner: _Manner, tally: _Tally) -> None:
    """Adds what a sentence is about: the first such word is taken for its object, later ones count less."""
    first = True
    for word in words:
        entry = _noun(word)
        if entry is None:
            continue
        weak, strong = entry in _WEAK, entry in _STRONG
        points = 0.7 if weak else 1.0
        if first and not weak:
            points = (4.0 if manner.making else 2.5) + (1.0 if strong else 0.0)
            first = False
        for intent in _NOUNS[entry]:
            sure = 2.5 if strong and intent is Intent.RESEARCH else points
            doubt = 0.6 if manner.telling else 1.0
            tally.add(intent, sure * weight * doubt * manner.trust(intent), entry)


def _about_given(reading: Reading) -> bool:
    """Whether a question is put about a quotation, or after a stretch of facts."""
    if not reading.segments:
        return False
    if reading.quoted:
        return asks(reading.segments[0])
    told = sum(len(words) for words in reading.segments[:-1])
    return told >= 12 and asks(reading.segments[-1]) and sum(map(str.isdigit, reading.text)) >= 4


def _unknown(reading: Reading) -> tuple[Intent, str]:
    """What to make of a prompt without a word that we know."""
    if "?" in reading.text or "？" in reading.text:
        return Intent.QUESTION, "nothing known but a question mark"
    if reading.words <= 15:
        return Intent.CONVERSATION, "short, and no word that we know"
    return Intent.QUESTION, "no word that we know"
