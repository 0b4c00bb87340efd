"""From a request for a turn to the turn that is stored: what may be asked for, and by whom."""

from collections.abc import Sequence

import msgspec
import orjson

from activities.contracts.agents import Agent
from activities.contracts.backends import Ladder
from activities.contracts.chat import Message, Role, Sampling
from activities.contracts.policy import Estimate
from activities.contracts.records import TurnStart
from activities.contracts.topology import Topology
from activities.contracts.turn import TurnStatus
from api.asking import TurnRequest
from api.policies import checked, effective
from api.problems import FieldError, Problem, invalid
from infra.ids import is_id, new_id
from infra.postgres.keys import Caller
from infra.postgres.turns import NewTurn
from workflows.policy import effort
from workflows.policy.combine import bounds_of
from workflows.policy.models import ladder_for, model_names
from workflows.policy.plans import ESTIMATED, USUAL_ANSWER_TOKENS, prompt_estimate

MOST_BYTES_A_TOKEN = 16
"""What has more bytes than this a token of the window certainly does not fit; workers count exactly."""


def ladder_of(topology: Topology, model: str) -> Ladder:
    """The ladder that serves the model. Raises a 404 `Problem` where there is none."""
    ladder = ladder_for(topology, model)
    if ladder is None:
        known = ", ".join(model_names(topology))
        raise Problem(
            "model_not_found",
            f"there is no model {model[:100]!r}; ask for one of: {known}",
            FieldError(field="model", message="no such model"),
        )
    return ladder


def new_turn(
    caller: Caller, request: TurnRequest, ladder: Ladder, topology: Topology, agent: Agent | None = None
) -> NewTurn:
    """The turn to store, with an id of its own. Raises a 4xx `Problem` that names the field at fault."""
    if request.conversation_id is not None and not is_id("conv", request.conversation_id):
        raise no_conversation(request.conversation_id)
    _check_window(request.messages, ladder, topology)
    policy = effective(topology, caller, agent, checked(request.bounds, topology))
    estimate = effort.estimate(newest_text(request.messages))
    chosen, effort_why = _effort(request, agent, topology, estimate)
    new_conversation = request.keep_conversation and request.conversation_id is None
    conversation_id = request.conversation_id if request.keep_conversation else None
    return NewTurn(
        tenant_id=caller.tenant_id,
        turn_id=new_id("turn"),
        conversation_id=new_id("conv") if new_conversation else conversation_id,
        new_conversation=new_conversation,
        model=climbed_model(caller, request.model),
        effort=chosen,
        effort_why=effort_why,
        intent=estimate.intent.value,
        intent_why=estimate.intent_why,
        priority=_priority(caller, request.priority),
        agent=agent.name if agent else None,
        agent_version=agent.version if agent else None,
        policy=bounds_of(policy),
        prompt_tokens=prompt_estimate(request.messages, agent.texts.system_text() if agent else ""),
        answer_tokens=request.sampling.max_tokens or USUAL_ANSWER_TOKENS,
        input=_encoded("input", request.messages),
        sampling=_sampling(request.sampling),
        metadata=orjson.dumps(request.metadata),
        key_id=caller.key_id,
        idempotency_key=request.idempotency_key,
        request_sha256=request.body_sha256,
    )


def start_of(caller: Caller, turn: NewTurn, messages: Sequence[Message], preview_chars: int) -> TurnStart:
    """What the workflow of a turn that was just stored starts from, as its row would say."""
    return TurnStart(
        status=TurnStatus.RUNNING,
        model=turn.model,
        effort=turn.effort,
        effort_why=turn.effort_why,
        intent=turn.intent,
        intent_why=turn.intent_why,
        priority=turn.priority,
        policy=turn.policy,
        prompt_tokens=turn.prompt_tokens,
        answer_tokens=turn.answer_tokens,
        preview=_preview(messages, preview_chars),
        fairness_weight=caller.fairness_weight,
    )


def climbed_model(caller: Caller, model: str) -> str:
    """The model that is asked for: `auto` is the key's ladder, where the key has one."""
    return f"auto:{caller.ladder}" if model == "auto" and caller.ladder else model


def newest_text(messages: Sequence[Message]) -> str:
    """The newest user message."""
    return next((m.content for m in reversed(messages) if m.role is Role.USER), "")


def _preview(messages: Sequence[Message], chars: int) -> str:
    """The head of the newest user message, on one line: what the trace may show of the text."""
    return " ".join(newest_text(messages)[: chars * 4].split())[:chars]


def _effort(
    request: TurnRequest, agent: Agent | None, topology: Topology, estimate: Estimate
) -> tuple[int, str]:
    """How hard to try, and who says so."""
    if request.effort is not None:
        return request.effort, "asked for"
    if agent is not None and agent.texts.effort is not None:
        return agent.texts.effort, f"agent {agent.name}'s default"
    if topology.default_effort is not None:
        return topology.default_effort, "the configured default"
    return estimate.effort, f"{ESTIMATED}{estimate.effort_why}"


def no_conversation(conversation_id: str | None) -> Problem:
    """A 404 about the conversation that a request names."""
    return Problem(
        "conversation_not_found",
        f"there is no conversation {(conversation_id or '')[:100]!r}; leave conversation_id out to begin one",
        FieldError(field="conversation_id", message="no such conversation"),
    )


def _priority(caller: Caller, asked: int | None) -> int:
    if asked is None:
        return caller.priority_ceiling
    if asked < caller.priority_ceiling:
        raise invalid(
            "priority",
            f"this key may ask for {caller.priority_ceiling} at most (1 is the most urgent), not {asked}",
        )
    return asked


def _check_window(messages: Sequence[Message], ladder: Ladder, topology: Topology) -> None:
    """Refuses what no rung could take: older messages may be trimmed, the system part and the newest not."""
    window = max(topology.backend(r.backend).window_tokens for r in (*ladder.answer, *ladder.reason))
    bound = window * MOST_BYTES_A_TOKEN
    kept = [i for i, m in enumerate(messages) if m.role is Role.SYSTEM or i == len(messages) - 1]
    if sum(len(messages[i].content) for i in kept) * 4 <= bound:
        return
    size = sum(len(messages[i].content.encode("utf-8", "replace")) for i in kept)
    if size > bound:
        raise invalid(
            "input",
            f"{size} bytes cannot fit into the largest window that would answer, {window} tokens; shorten it",
        )


def _sampling(sampling: Sampling) -> bytes:
    try:
        return _encoded("sampling", sampling)
    except Problem:
        for name in ("response_format", "tools", "tool_choice", "stop"):
            _encoded(name, getattr(sampling, name))
        raise


def _encoded(field: str, value: object) -> bytes:
    """JSON that PostgreSQL can hold: neither NUL nor half a surrogate pair may stand in its text."""
    try:
        encoded = msgspec.json.encode(value)
    except UnicodeEncodeError as error:
        raise invalid(field, "holds half a surrogate pair, which is no text") from error
    except (OverflowError, TypeError, ValueError, RecursionError) as error:
        raise invalid(field, f"cannot be stored as JSON: {error}") from error
    if b"\\u0000" in encoded and b"\\u0000" in encoded.replace(b"\\\\", b""):
        raise invalid(field, "holds a NUL character, which cannot be stored")
    return encoded
