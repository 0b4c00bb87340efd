"""`[swarm.roles]`: whom a swarm's roles are asked of, and what SWARM_BACKEND says."""

from pathlib import Path

import pytest

from activities.contracts.swarm import Role
from infra.config.mistakes import ConfigError
from infra.settings import Settings
from infra.topology import load_topology
from workflows.policy.swarm_roles import roles_of


def written(folder: Path, text: str) -> Settings:
    file = folder / "aither.toml"
    file.write_text(text)
    return Settings(config_file=file)


def test_each_role_has_its_own_backend_and_effort(tmp_path: Path) -> None:
    topology = load_topology(
        written(
            tmp_path, '[swarm.roles.planner]\nbackend = "orchestrator"\n[swarm.roles.worker]\neffort = 2\n'
        )
    )
    roles = roles_of(topology, None, "gateway", topology.swarm_roles)
    assert not isinstance(roles, str)
    assert (roles[Role.PLANNER].model, roles[Role.PLANNER].effort) == ("orchestrator", 5)
    assert (roles[Role.WORKER].model, roles[Role.WORKER].effort) == ("auto", 2)
    assert (roles[Role.SYNTHESIZER].model, roles[Role.SYNTHESIZER].effort) == ("auto", 8)
    asked = roles_of(topology, "smollm2-135m-instruct", "gateway", topology.swarm_roles)
    assert not isinstance(asked, str)
    assert {call.model for call in asked.values()} == {"smollm2-135m-instruct"}
    assert roles_of(topology, "deepseek", "gateway", {}) == "deepseek"


@pytest.mark.parametrize(
    "text",
    [
        '[swarm.roles.planner]\nbackend = "nobody"\n',
        '[swarm.roles.worker]\nmodel = "nothing"\n',
        "[swarm.roles.worker]\neffort = 11\n",
        "[swarm.roles.poet]\neffort = 1\n",
        "[swarm]\nspeed = 1\n",
        '[swarm.roles.worker]\nbackend = "orchestrator"\nmodel = "auto"\n',
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError):
        load_topology(written(tmp_path, text))


@pytest.mark.parametrize("name", ["AITHER_SWARM_BACKEND", "SWARM_BACKEND"])
def test_the_default_backend_is_a_variable(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.delenv("AITHER_SWARM_BACKEND", raising=False)
    monkeypatch.setenv(name, "deepseek")
    assert Settings(config_file=None).swarm_backend == "deepseek"
