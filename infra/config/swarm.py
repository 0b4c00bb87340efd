"""`[swarm.roles.planner]`, `[swarm.roles.worker]`, `[swarm.roles.synthesizer]`: whom a swarm's roles are asked of."""

from collections.abc import Collection, Mapping

from activities.contracts.backends import Backend
from activities.contracts.jobs import RoleCall
from activities.contracts.swarm import Role
from infra.config.mistakes import allowed
from infra.config.table import Table

GATEWAY = "gateway"
EFFORTS = {Role.PLANNER: 5, Role.WORKER: 3, Role.SYNTHESIZER: 8}
"""How hard each role tries unless the file says."""


def read_swarm(
    root: Table, backends: Mapping[str, Backend], ladders: Collection[str]
) -> dict[Role, RoleCall]:
    """The roles that the file says something of; a role without a backend or model is asked as the job is."""
    section = root.section("swarm")
    roles = section.section("roles")
    models = tuple(dict.fromkeys(backend.model for backend in backends.values()))
    found: dict[Role, RoleCall] = {}
    for role in Role:
        if roles.has(role):
            found[role] = _role(roles.section(role), role, (GATEWAY, *backends), models, ladders)
    roles.close()
    section.close()
    return found


def _role(
    table: Table, role: Role, backends: Collection[str], models: Collection[str], ladders: Collection[str]
) -> RoleCall:
    backend, model = table.text("backend", ""), table.text("model", "")
    effort = table.integer("effort", EFFORTS[role], least=1, most=10)
    table.close()
    named = (*models, "auto", *(f"auto:{ladder}" for ladder in ladders))
    if backend and backend not in backends:
        table.wrong(f'"{backend}" is no backend; {allowed(backends, backend)}', "backend")
        backend = ""
    if model and model not in named:
        table.wrong(f'"{model}" is no model; {allowed(named, model)}', "model")
        model = ""
    if backend and model:
        table.wrong("either a backend or a model is wanted, not both", "model")
    return RoleCall(model=backend or model, effort=effort)
