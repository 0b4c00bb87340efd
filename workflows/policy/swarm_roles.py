"""Which model each role of a swarm is asked of, by what the job and the configuration say."""

from collections.abc import Mapping
from dataclasses import replace

from activities.contracts.backends import Capability, Ladder
from activities.contracts.chat import Message
from activities.contracts.jobs import RoleCall
from activities.contracts.swarm import Role
from activities.contracts.topology import Topology
from workflows.policy import budget
from workflows.policy.models import ladder_for
from workflows.policy.plans import prompt_estimate
from workflows.policy.swarm_prompts import BYTES_A_TOKEN, answer_room

GATEWAY = "gateway"
USUAL_PROMPT_TOKENS = 700
"""What a role's instructions, a task and some context take, more or less."""
EFFORTS = {Role.PLANNER: 5, Role.WORKER: 3, Role.SYNTHESIZER: 8}


def model_of(topology: Topology, backend: str) -> str | None:
    """The model to ask for, by a backend's word: `gateway` is the ladder, else a backend's or model's name.

    A vendor's name (`deepseek`, `anthropic`, `openai`) is that of the first backend that speaks its dialect. None
    for what is not configured.
    """
    if backend in {GATEWAY, "auto"}:
        return "auto"
    if ladder_for(topology, backend) is not None:
        return backend
    spoken = (each.name for each in topology.backends if backend in {each.dialect.value, each.kind.value})
    return next(spoken, None) if backend in {"deepseek", "anthropic", "openai", "gemini"} else None


def backend_names(topology: Topology) -> tuple[str, ...]:
    """Every word that a job may ask for as its backend."""
    ladders = [f"auto:{ladder.name}" for ladder in topology.ladders if ladder.name != topology.default_ladder]
    names = [name for backend in topology.backends for name in (backend.name, backend.model)]
    return (GATEWAY, *ladders, *dict.fromkeys(names))


def roles_of(
    topology: Topology, backend: str | None, default: str, configured: Mapping[Role, RoleCall]
) -> dict[Role, RoleCall] | str:
    """How each role is asked, or the word that means nothing here.

    What the job asks for goes before what is configured for a role, that before the default.
    """
    roles: dict[Role, RoleCall] = {}
    for role in Role:
        call = configured.get(role, RoleCall(model="", effort=EFFORTS[role]))
        word = backend or call.model or default
        model = model_of(topology, word)
        if model is None:
            return word
        roles[role] = replace(call, model=model)
    return roles


def window_of(topology: Topology, ladder: Ladder) -> int:
    """Tokens of the window of whoever answers first, by our estimate of tokens.

    Where nobody counts a backend's tokens, each byte is taken for one before it is called.
    """
    backend = topology.backend(ladder.answer[0].backend)
    counts = backend.can(Capability.TOKENIZE)
    return backend.window_tokens if counts else backend.window_tokens // BYTES_A_TOKEN


def least_nano(
    topology: Topology, ladder: Ladder, messages: tuple[Message, ...] = (), max_tokens: int | None = None
) -> int:
    """What a call costs at most, on the cheapest backend of the ladder's answer chain."""
    size = prompt_estimate(messages) if messages else USUAL_PROMPT_TOKENS
    answer = max_tokens or answer_room(window_of(topology, ladder))
    prices = [topology.backend(rung.backend).price for rung in ladder.answer]
    return min(budget.most(size, answer, price) for price in prices)
