"""What a swarm's models are taken to have said: plans, findings and citations, read from their answers.

Models wrap JSON in prose and fences, and cut it off. Whatever can be read is; what cannot is named, so that a
second turn can be told. Nothing that was found is ever dropped.
"""

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any, cast

from activities.contracts.ledger import NewFinding
from activities.contracts.swarm_texts import Cited, Plan, Planned
from workflows.policy.claims import distinct, normalised

TITLE_CHARS = 80
TASK_CHARS = 4_000
FINDING_CHARS = 8_000
SOURCE_CHARS = 500
MOST_FINDINGS = 50
MOST_SOURCES = 20
MOST_COMPARED = 500
"""Tasks up to which each is compared with each."""
PLAIN_CONFIDENCE = 0.5
"""Of an answer that says nothing of its confidence."""

_MARK = re.compile(r"^(?:\d{1,4}[.):]|[-*•])\s+")
"""What numbers a task in a list: no two tasks differ by that."""
_FENCE = re.compile(r"```(?:json)?\s*(.*?)```", re.DOTALL | re.IGNORECASE)
_CITED = re.compile(r"\[\s*(F\d{1,6}(?:\s*[,;]\s*F\d{1,6})*)\s*\]")
_LABEL = re.compile(r"F(\d{1,6})")


def read_plan(text: str, wanted: int, *, lenient: bool = False) -> Plan:
    """The plan in an answer. `lenient` takes what is whole of one that was cut; never more than twice `wanted`."""
    found = _listed(text, "tasks")
    if found is None:
        if not lenient:
            return Plan(mistake=_not_a_plan(text))
        found = list(_whole_objects(text))
    tasks = [task for each in found if (task := _planned(each))]
    kept = _distinct([task.text for task in tasks])[: wanted * 2]
    if not kept:
        return Plan(mistake='there is no task in "tasks" that has a "title" and a "task"')
    return Plan(tasks=tuple(tasks[place] for place in kept))


def read_findings(text: str) -> tuple[NewFinding, ...]:
    """The findings in an answer: those of its JSON, or all of it as one; none only in an empty one."""
    found = _listed(text, "findings")
    if found is not None:
        read = [finding for each in found if (finding := _finding(each))]
        if read:
            return (*read[:MOST_FINDINGS], *_rest(read[MOST_FINDINGS:]))
    plain = text.strip()[:FINDING_CHARS]
    return (NewFinding(text=plain, confidence=PLAIN_CONFIDENCE),) if plain else ()


def read_citations(text: str, findings: int) -> Cited:
    """What the text cites as [F3] or [F1, F2], of so many findings."""
    labels = [label for cited in _CITED.findall(text) for label in _LABEL.findall(cited)]
    known = sorted({int(n) for n in labels if 1 <= int(n) <= findings})
    unknown = sorted({f"F{int(n)}" for n in labels if not 1 <= int(n) <= findings}, key=lambda f: int(f[1:]))
    return Cited(text=text, known=tuple(known), unknown=tuple(unknown))


def without_unknown(text: str, findings: int) -> str:
    """The text without the citations of findings that there are not."""

    def kept(match: re.Match[str]) -> str:
        good = [f"F{int(n)}" for n in _LABEL.findall(match[1]) if 1 <= int(n) <= findings]
        return f"[{', '.join(good)}]" if good else ""

    return re.sub(r" +([.,;:])", r"\1", _CITED.sub(kept, text))


def _distinct(texts: list[str]) -> list[int]:
    """The places of the texts that say something new; of very many only those that say the very same are left out."""
    if len(texts) <= MOST_COMPARED:
        return distinct(texts)
    first: dict[str, int] = {}
    for place, text in enumerate(texts):
        first.setdefault(normalised(text), place)
    return list(first.values())


def _planned(value: object) -> Planned | None:
    if isinstance(value, str):
        value = {"task": value}
    if not isinstance(value, dict):
        return None
    said = cast("dict[str, Any]", value)
    text = _MARK.sub("", _said(said, "task", "text", "description", chars=TASK_CHARS))
    title = _MARK.sub("", _said(said, "title", "name", chars=TITLE_CHARS))
    if not text and not title:
        return None
    return Planned(title=title or " ".join(text.split())[:TITLE_CHARS], text=text or title)


def _finding(value: object) -> NewFinding | None:
    if isinstance(value, str):
        value = {"text": value}
    if not isinstance(value, dict):
        return None
    said = cast("dict[str, Any]", value)
    text = _said(said, "text", "finding", "claim", chars=FINDING_CHARS)
    if not text:
        return None
    return NewFinding(
        text=text, confidence=_confidence(said.get("confidence")), sources=_sources(said.get("sources"))
    )


def _said(said: dict[str, Any], *names: str, chars: int) -> str:
    found = next((said[name] for name in names if isinstance(said.get(name), str) and said[name].strip()), "")
    return found.strip()[:chars]


def _confidence(value: object) -> float:
    """0 to 1; percentages are understood, nonsense is not confidence."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 100:
        return PLAIN_CONFIDENCE
    return float(value) if value <= 1 else value / 100


def _sources(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list):
        return ()
    said = [
        each.strip()[:SOURCE_CHARS]
        for each in cast("list[Any]", value)
        if isinstance(each, str) and each.strip()
    ]
    return tuple(dict.fromkeys(said))[:MOST_SOURCES]


def _rest(findings: Sequence[NewFinding]) -> tuple[NewFinding, ...]:
    """What is too much to stand alone, as one: nothing is lost."""
    if not findings:
        return ()
    text = "\n".join(finding.text for finding in findings)[:FINDING_CHARS]
    return (NewFinding(text=text, confidence=min(finding.confidence for finding in findings)),)


def _listed(text: str, name: str) -> list[Any] | None:
    """The list that the text's JSON has under that name, or is."""
    value = _json(text)
    if isinstance(value, dict):
        value = cast("dict[str, Any]", value).get(name)
    return cast("list[Any]", value) if isinstance(value, list) else None


def _json(text: str) -> object:
    """The JSON that is the text, stands in its fence, or lies between its outermost brackets; None where none does."""
    for candidate in (text.strip(), *_FENCE.findall(text), *_bracketed(text)):
        try:
            return json.loads(candidate)
        except (ValueError, RecursionError):
            continue
    return None


def _bracketed(text: str) -> Iterable[str]:
    for opening, closing in ("{}", "[]"):
        start, end = text.find(opening), text.rfind(closing)
        if 0 <= start < end:
            yield text[start : end + 1]


def _whole_objects(text: str) -> Iterable[object]:
    """The objects without objects in them that a text holds, wherever it was cut."""
    for candidate in re.findall(r"\{[^{}]*\}", text):
        try:
            yield json.loads(candidate)
        except ValueError:
            continue


def _not_a_plan(text: str) -> str:
    if not text.strip():
        return "the answer was empty"
    if text.lstrip().startswith(("{", "[")):
        return "the answer was cut off, or is not valid JSON; make it shorter, and close every bracket"
    return 'the answer is not JSON of the form {"tasks": [{"title": "...", "task": "..."}]}'
