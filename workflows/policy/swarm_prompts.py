"""What a swarm's models are told: planner, worker, synthesizer, and those whose answer was sent back.

Every prompt is a system message and user messages after it, never a later system message: strict templates take it
as it is. Texts that are too long for the window are cut here, and say so.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from activities.contracts.chat import Message, Role, Sampling
from activities.contracts.swarm import Finding, Task
from activities.contracts.swarm_texts import Prompt

BYTES_A_TOKEN = 3
"""Fewer than most texts have: what is too long for a window is refused, not cut, when it is sent."""
FRAME_TOKENS = 400
"""What the instructions and a chat template take."""
CUT = " […]"
LEAST_ANSWER = 192
MOST_ANSWER = 4_096
LEAST_ITEM_TOKENS = 48

PLANNER = """You break a goal into tasks for workers who cannot see each other, nor anything but their own task.
Each task stands on its own: it names what it is about, and asks for one thing that can be found out or judged.
No two tasks overlap. Together they cover the goal.
Answer with JSON only: {"tasks": [{"title": "…", "task": "…"}]}"""

WORKER = """You are one of several workers on a goal. Do your task, and only your task.
Answer with JSON only: {"findings": [{"text": "…", "confidence": 0.8, "sources": ["…"]}]}
Confidence is 0 to 1. Name a source only if you have one. Where you found nothing, say so in one finding."""

SYNTHESIZER = """You put the findings of several workers together into one answer to the goal.
Use only what the findings say; add nothing of your own. Settle overlaps. Where findings contradict each other,
say so, and name both. Cite the findings that a sentence rests on by their labels, like [F3] or [F1, F4].
Name what is missing where a task was not done."""

PARTIAL = """You put some of the findings of several workers together; others read the rest, and one will join all.
Use only what the findings say, add nothing of your own. Keep every fact, its label like [F3], and contradictions."""


def tokens(text: str) -> int:
    """An estimate of a text's tokens, by its bytes."""
    return len(text.encode("utf-8", "replace")) // BYTES_A_TOKEN + 1


def answer_room(window: int) -> int:
    """Tokens that an answer may take of a window."""
    return max(LEAST_ANSWER, min(MOST_ANSWER, window // 3))


def reading_room(window: int) -> int:
    """Tokens that are left for what is to be read."""
    return max(LEAST_ITEM_TOKENS * 2, window - answer_room(window) - FRAME_TOKENS)


def plan_prompt(
    goal: str, context: str, wanted: int, window: int, *, mistake: str = "", said: str = ""
) -> Prompt:
    """Asks for about so many tasks; with what was wrong with the first answer, where there was one."""
    room = reading_room(window)
    lines = [f"Goal: {cut(goal, room // 2)}"]
    if context:
        lines.append(f"What is known already:\n{cut(context, room // 4)}")
    lines.append(f"Break the goal into {wanted} task{'' if wanted == 1 else 's'}.")
    messages = [_system(PLANNER), _user("\n\n".join(lines))]
    if mistake:
        messages += _sent_back(said, mistake, room // 4)
    most = _plan_room(wanted, window)
    form = {"type": "json_schema", "json_schema": {"name": "plan", "schema": _plan_schema(wanted, most)}}
    return Prompt(
        messages=tuple(messages),
        sampling=Sampling(max_tokens=most, response_format=form),
    )


def work_prompt(task: Task, context: str, remembered: Sequence[str], window: int) -> Prompt:
    """Gives a worker its task and what all workers share, and nothing else."""
    room = reading_room(window)
    lines: list[str] = []
    if context:
        lines.append(f"What all workers know:\n{cut(context, room // 3)}")
    if remembered:
        found = "\n".join(f"- {each}" for each in remembered)
        lines.append(f"What was found earlier, and may help:\n{cut(found, room // 4)}")
    title = f"{task.title}\n" if task.title and not task.text.startswith(task.title) else ""
    lines.append(f"Your task: {title}{cut(task.text, room // 3)}")
    return Prompt(
        messages=(_system(WORKER), _user("\n\n".join(lines))),
        sampling=Sampling(max_tokens=answer_room(window)),
    )


def synthesis_prompt(
    goal: str,
    items: Sequence[str],
    missing: Sequence[str],
    window: int,
    *,
    last: bool,
    mistake: str = "",
    said: str = "",
) -> Prompt:
    """Gives the synthesizer labelled findings, or what earlier passes made of them, each cut to its share."""
    room = reading_room(window) * (2 if mistake else 3) // 3
    share = max(LEAST_ITEM_TOKENS, (room - room // 6) // max(1, len(items)))
    lines = [f"Goal: {cut(goal, room // 6)}", "Findings:", *fitted(items, share)]
    if last:
        named = cut("; ".join(missing), room // 6)
        lines.append(f"Tasks that were not done: {named}" if missing else "All tasks were done.")
    lines.append("Answer the goal." if last else "Put these together.")
    messages = [_system(SYNTHESIZER if last else PARTIAL), _user("\n\n".join(lines))]
    if mistake:
        messages += _sent_back(said, mistake, reading_room(window) // 4)
    return Prompt(messages=tuple(messages), sampling=Sampling(max_tokens=answer_room(window)))


def labelled(place: int, finding: Finding, task: str) -> str:
    """A finding as the synthesizer reads it; `place` counts from 1."""
    said = f"[F{place}] {finding.text}"
    beside = [f"confidence {finding.confidence:g}"]
    if task:
        beside.append(f"task: {task}")
    if finding.sources:
        beside.append(f"sources: {', '.join(finding.sources[:5])}")
    return f"{said} ({'; '.join(beside)})"


def fitted(items: Sequence[str], share: int) -> list[str]:
    """The items within their shares together: what short ones leave is for the long ones."""
    sizes = [tokens(item) for item in items]
    if sum(sizes) <= share * len(items):
        return list(items)
    spare = sum(max(0, share - size) for size in sizes)
    long = sum(1 for size in sizes if size > share)
    return [cut(item, share + spare // max(1, long)) for item in items]


def cut(text: str, most: int) -> str:
    """The text within so many tokens."""
    if tokens(text) <= most:
        return text
    kept = text.encode("utf-8", "replace")[: max(0, (most - 1) * BYTES_A_TOKEN - len(CUT.encode()))]
    return kept.decode("utf-8", "ignore") + CUT


def prompt_size(prompt: Prompt) -> int:
    """An estimate of its tokens."""
    return sum(tokens(message.content) + 8 for message in prompt.messages)


def _plan_room(wanted: int, window: int) -> int:
    """A plan of many tasks may be longer than any other answer, as long as the question has room beside it."""
    return max(LEAST_ANSWER, min(max(answer_room(window), wanted * 80), window * 2 // 3))


def _plan_schema(wanted: int, most_tokens: int) -> Mapping[str, Any]:
    """About so many tasks, each short enough that all of them fit the answer."""
    chars = max(60, min(400, most_tokens * BYTES_A_TOKEN // (wanted + 2) - 80))
    texts = {"title": {"type": "string", "maxLength": 40}, "task": {"type": "string", "maxLength": chars}}
    task = {
        "type": "object",
        "properties": texts,
        "required": ["title", "task"],
        "additionalProperties": False,
    }
    tasks = {
        "type": "array",
        "items": task,
        "minItems": max(1, wanted * 3 // 4),
        "maxItems": wanted + max(2, wanted // 4),
    }
    return {
        "type": "object",
        "properties": {"tasks": tasks},
        "required": ["tasks"],
        "additionalProperties": False,
    }


def _sent_back(said: str, mistake: str, room: int) -> list[Message]:
    return [
        Message(role=Role.ASSISTANT, content=cut(said, room) or "(nothing)"),
        _user(f"That cannot be used: {mistake}. Answer again, and mend that."),
    ]


def _system(text: str) -> Message:
    return Message(role=Role.SYSTEM, content=text)


def _user(text: str) -> Message:
    return Message(role=Role.USER, content=text)
