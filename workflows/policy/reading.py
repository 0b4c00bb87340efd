"""What the router looks at of a prompt: its beginning and its end, in sentences and words.

Total and bounded: any string will do, and of any size of it only some thousand characters are looked at.
"""

import re
from collections.abc import Container
from dataclasses import dataclass

HEAD_CHARS = 700
TAIL_CHARS = 300
SEGMENTS = 8
WORDS_A_SEGMENT = 40

_QUOTED = re.compile(r"```.{0,1300}?(?:```|$)|\"[^\"\n]{0,600}\"|“[^“”]{0,600}”|«[^«»]{0,600}»", re.DOTALL)
_SEGMENT = re.compile(r"[.!?…:](?=\s|$)|[\n。！？：]")
_WORD = re.compile(r"[^\W_]+(?:[-'’][^\W_]+|\+\+)*[-'’]?")
_UNSPACED = re.compile(r"[\u0600-\u06ff\u0900-\u097f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_INJECTED = frozenset({"instructions", "instruction", "prompt", "anweisungen", "instrucciones"})
_SETS_ASIDE = frozenset({"ignore", "disregard", "forget", "override", "ignoriere", "ignora"})


@dataclass(frozen=True, slots=True)
class Reading:
    """What the router looks at: the prompt's window, its sentences in words, quoted text left out.

    `words` counts those of the window, `chars` all characters of the prompt.
    """

    text: str
    segments: tuple[tuple[str, ...], ...]
    words: int
    chars: int
    unspaced: bool
    quoted: bool


def read(text: str) -> Reading:
    """Takes in a prompt; the middle of a long one is not looked at."""
    window = text if len(text) <= HEAD_CHARS + TAIL_CHARS else f"{text[:HEAD_CHARS]}\n{text[-TAIL_CHARS:]}"
    lowered = window.lower().replace("’", "'")
    bare, quotes = _QUOTED.subn(" ", lowered)
    pieces = [piece for piece in _SEGMENT.split(bare) if len(piece) > 1]
    if len(pieces) > SEGMENTS:
        pieces = [*pieces[: SEGMENTS - 2], *pieces[-2:]]
    segments = tuple(tuple(_WORD.findall(piece)[:WORDS_A_SEGMENT]) for piece in pieces)
    kept = tuple(words for words in segments if words and not _sets_aside(words))
    count = lowered.count(" ") + lowered.count("\n") + 1
    return Reading(
        text=lowered,
        segments=kept,
        words=count,
        chars=len(text),
        unspaced=_UNSPACED.search(lowered) is not None,
        quoted=quotes > 0,
    )


def matched(word: str, table: Container[str]) -> str | None:
    """The entry for a word: itself, or for a Cyrillic word the beginning that the lexicon lists."""
    if word in table:
        return word
    if "\u0400" <= word[0] <= "\u04ff":
        for length in range(min(len(word), 12), 2, -1):
            entry = f"{word[:length]}*"
            if entry in table:
                return entry
    return None


def vocabulary(words: str) -> frozenset[str]:
    """A lexicon entry as the set of its words."""
    return frozenset(words.split())


def _sets_aside(words: tuple[str, ...]) -> bool:
    """Whether a sentence tells us to drop our instructions: it is then no part of what is asked."""
    return not _SETS_ASIDE.isdisjoint(words) and not _INJECTED.isdisjoint(words)
