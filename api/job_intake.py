"""From a request for a job to the job that is stored: what may be asked for, and by whom."""

import hashlib
import json
from datetime import UTC, datetime

from activities.contracts.jobs import JobRef, RoleCall, SwarmOptions
from activities.contracts.policy import Bounds
from activities.contracts.swarm import Role
from activities.contracts.topology import Topology
from activities.contracts.urgency import Urgency
from api.job_models import JobBody
from api.policies import checked, effective
from api.problems import invalid
from infra.ids import new_id
from infra.postgres.jobs import NewJob
from infra.postgres.keys import Caller
from workflows.policy import budget
from workflows.policy.combine import bounds_of
from workflows.policy.models import ladder_for
from workflows.policy.swarm_prompts import plan_prompt
from workflows.policy.swarm_roles import backend_names, least_nano, roles_of, window_of

MEMORY_HITS = 5
"""What a worker is given of what was found earlier, where the job allows it."""


def new_job(
    caller: Caller, body: JobBody, topology: Topology, default_backend: str, idempotency_key: str | None
) -> NewJob:
    """The job to store, with an id of its own. Raises a 4xx `Problem` that names the field at fault."""
    if not body.goal.strip():
        raise invalid("goal", "is empty; say what is wanted")
    deadline = _deadline(body.deadline)
    roles = roles_of(topology, body.backend, default_backend, topology.swarm_roles)
    if isinstance(roles, str):
        known = ", ".join(backend_names(topology))
        raise invalid("backend", f"there is no backend {roles[:100]!r}; ask for one of: {known}")
    _check_budget(body, topology, roles)
    policy = effective(
        topology, caller, None, checked(body.policy.bounds() if body.policy else Bounds(), topology)
    )
    return NewJob(
        ref=JobRef(tenant_id=caller.tenant_id, job_id=new_id("job")),
        goal=body.goal,
        context=body.context,
        options=SwarmOptions(
            tasks=body.tasks,
            workers=body.workers,
            roles={role: _of_key(caller, call) for role, call in roles.items()},
            memory_hits=MEMORY_HITS if "memory" in body.tools else 0,
            budget_usd=body.budget_usd,
            deadline=deadline,
        ),
        policy=bounds_of(policy),
        priority=max(int(Urgency.SWARM), caller.priority_ceiling),
        budget_nano=None if body.budget_usd is None else budget.to_nano(body.budget_usd),
        key_id=caller.key_id,
        idempotency_key=idempotency_key,
        request_sha256=_digest(body) if idempotency_key else None,
    )


def _of_key(caller: Caller, call: RoleCall) -> RoleCall:
    """`auto` is the key's ladder, where the key has one."""
    return RoleCall(
        model=f"auto:{caller.ladder}" if call.model == "auto" and caller.ladder else call.model,
        effort=call.effort,
    )


def _deadline(said: datetime | None) -> datetime | None:
    if said is None:
        return None
    if said.tzinfo is None:
        raise invalid("deadline", "has no time zone; write it like 2026-11-23T18:00:00Z")
    if said <= datetime.now(UTC):
        raise invalid("deadline", "is past")
    return said.astimezone(UTC)


def _check_budget(body: JobBody, topology: Topology, roles: dict[Role, RoleCall]) -> None:
    """Refuses a budget that does not pay for the plan alone."""
    if body.budget_usd is None:
        return
    ladder = ladder_for(topology, roles[Role.PLANNER].model)
    assert ladder is not None
    prompt = plan_prompt(body.goal, body.context, body.tasks, window_of(topology, ladder))
    least = least_nano(topology, ladder, prompt.messages, prompt.sampling.max_tokens)
    if least > budget.to_nano(body.budget_usd):
        raise invalid(
            "budget_usd",
            f"${body.budget_usd:g} does not pay for one call, which may cost ${budget.to_usd(least):.6f}",
        )


def _digest(body: JobBody) -> bytes:
    said = body.model_dump(mode="json", exclude_unset=True)
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).digest()
