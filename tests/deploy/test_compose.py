"""The compose files say nothing that does not exist: schema, commands, variables, ports, files, health, hardening."""

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import pytest
from check_jsonschema.builtin_schemas import get_builtin_schema
from jsonschema import Draft7Validator

from api.cli.main import COMMANDS
from infra.embedded.temporal import DYNAMIC_CONFIG
from infra.settings import Settings
from infra.topology import EMBEDDED_EMBEDDING_MODEL, load_topology
from infra.vllm.command import serve_command
from infra.vllm.profiles import load_profile
from tests.deploy.files import (
    COMPOSE,
    DEPLOY,
    EXAMPLE,
    MAIN,
    ROOT,
    SPARK,
    compose,
    documents,
    filled,
    interpolated,
    of_settings,
    ours,
    services,
)
from workers.fleets import USUAL, Fleet
from workers.health import READY_FILE

PROFILES = {"core", "gpu-5090", "media", "observability", "swap-gemma", "unused"}
EVERY = [
    pytest.param(path, name, id=f"{path.stem}:{name}") for path in (MAIN, SPARK) for name in services(path)
]

NOT_FROM_SETTINGS = {
    # The exporter of traces reads it.
    "OTEL_EXPORTER_OTLP_HEADERS",
    READY_FILE,
    "NVIDIA_VISIBLE_DEVICES",
    "NVIDIA_DRIVER_CAPABILITIES",
    "AITHER_ADMIN_DATABASE_URL",
}
"""What our containers are told beside settings and the keys that the configuration names."""

ONLY_EMBEDDED = {
    # The embedded stack's own ports and sizes; in a container everything has its usual port.
    *(
        f"AITHER_{part}_PORT"
        for part in ("ORCHESTRATOR", "EMBEDDINGS", "TEMPORAL", "TEMPORAL_UI", "POSTGRES", "REDIS")
    ),
    *(f"AITHER_ORCHESTRATOR_{size}" for size in ("THREADS", "SLOTS", "WINDOW_TOKENS")),
    # Understood too, by another name.
    "SWARM_BACKEND",
    "VAST_API_KEY",
    "HF_ENDPOINT",
    "HF_TOKEN",
    # The data directory's, which is mounted.
    "AITHER_MODELS_DIR",
    # Of `aither temporal codec-server`, which nobody needs who encrypts nothing: docs/temporal.md runs it.
    "AITHER_CODEC_TOKEN",
}
"""Settings that the compose files pass on to nobody, by design."""


@pytest.mark.parametrize("path", COMPOSE, ids=lambda path: path.name)
def test_every_file_is_what_the_compose_specification_allows(path: Path) -> None:
    schema = get_builtin_schema("vendor.compose-spec")
    # What `!reset` leaves is nothing; the schema has no word for it.
    document = json.loads(json.dumps(compose(path)).replace('"depends_on": ""', '"depends_on": {}'))
    assert [str(error.message) for error in Draft7Validator(schema).iter_errors(document)] == []


def test_there_is_a_service_for_each_fleet_and_it_runs_that_fleet_alone() -> None:
    workers = {name: one for name, one in ours().items() if "workers.main" in one["command"]}
    assert set(workers) == {*(f"worker-{fleet}" for fleet in USUAL), "cards"}
    for name, worker in workers.items():
        fleet = name.removeprefix("worker-")
        assert worker["command"] == ["python", "-m", "workers.main", "--fleet", Fleet(fleet)]
        assert worker["environment"][READY_FILE]
        assert worker["healthcheck"]["test"] == ["CMD", "python", "-m", "workers.health"]


@pytest.mark.parametrize("name", ours())
def test_commands_exist(name: str) -> None:
    command: list[str] = ours()[name]["command"]
    if command[0] == "python":
        assert command[1] == "-m"
        assert importlib.util.find_spec(command[2])
    else:
        assert command[0] == "aither"
        assert command[1] in COMMANDS
        place, _, attribute = COMMANDS[command[1]][0].partition(":")
        group = getattr(importlib.import_module(place), attribute)
        assert command[2] in {one.name or one.callback.__name__ for one in group.registered_commands}


@pytest.mark.parametrize("name", ours())
def test_our_containers_are_told_nothing_that_nobody_reads(name: str) -> None:
    keys = set(re.findall(r'api_key_env = "(\w+)"', (DEPLOY / "compose" / "aither.toml").read_text()))
    keys |= set(re.findall(r'api_key_env = "(\w+)"', (DEPLOY / "aither.production.toml").read_text()))
    told = set(ours()[name]["environment"])
    assert told - of_settings() - NOT_FROM_SETTINGS <= (keys if name == "worker-pools" else set())


def test_every_setting_reaches_a_container() -> None:
    told = {variable for one in ours().values() for variable in one["environment"]}
    assert of_settings() - told == ONLY_EMBEDDED - told
    assert not ONLY_EMBEDDED & told, "these do reach one: they need not be named"


def test_only_the_pools_have_the_keys_of_clouds_and_only_the_burst_fleet_the_markets() -> None:
    for name, one in ours().items():
        told = set(one["environment"])
        assert bool(told & {"ANTHROPIC_API_KEY", "DEEPSEEK_API_KEY"}) == (name == "worker-pools"), name
        assert ("AITHER_VAST_API_KEY" in told) == (name == "worker-burst"), name
        assert ("AITHER_ADMIN_DATABASE_URL" in told) == (name == "migrate"), name


@pytest.mark.parametrize("path", COMPOSE, ids=lambda path: path.name)
def test_every_variable_that_is_filled_in_is_in_the_example(path: Path) -> None:
    known = set(re.findall(r"^#?([A-Z][A-Z0-9_]*)=", EXAMPLE.read_text(), re.MULTILINE))
    text = "\n".join(
        line.split("#", 1)[0] if line.lstrip().startswith("#") else line
        for line in path.read_text().splitlines()
    )
    wanted = {name for name, _ in interpolated(text)}
    passed = {
        name
        for one in services(path).values()
        for name, value in (one.get("environment") or {}).items()
        if value is None
    }
    assert wanted | passed <= known


def test_no_secret_has_a_default_and_each_that_is_wanted_is_made() -> None:
    made = set(re.findall(r"\b[A-Z0-9_]{6,}\b", (DEPLOY / "compose" / "secrets.sh").read_text()))
    for name, rest in interpolated(MAIN.read_text()):
        if re.search(r"PASSWORD|SECRET|MASTER_KEY|QDRANT_API_KEY", name):
            assert rest.startswith(":?"), f"{name} has a default"
            assert name in made


@pytest.mark.parametrize(("path", "name"), EVERY)
def test_every_service_is_pinned_watched_and_held(path: Path, name: str) -> None:
    one = services(path)[name]
    image = filled(one["image"])
    assert re.search(r":[^:/]*\d", image) or image == "aither:local", f"{image} is not pinned"
    assert "latest" not in image
    assert one["restart"] in {"unless-stopped", "on-failure:5"}
    assert one["cap_drop"] == ["ALL"]
    assert one["security_opt"] == ["no-new-privileges:true"]
    assert one["logging"]["options"]["max-size"]
    assert one["read_only"] is (name != "temporal-ui")
    assert set(one.get("profiles", PROFILES)) <= PROFILES
    runs_once = one["restart"] == "on-failure:5"
    silent = one.get("healthcheck", {}).get("disable") is True
    assert runs_once or (
        name == "jaeger" if silent else one["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}
    )
    assert "mem_limit" in one or "deploy" in one


@pytest.mark.parametrize(("path", "name"), EVERY)
def test_nothing_is_published_off_the_machine_unless_somebody_says_so(path: Path, name: str) -> None:
    for port in services(path)[name].get("ports", ()):
        assert re.match(r"(127\.0\.0\.1|\$\{[A-Z]+_PUBLISH:-127\.0\.0\.1\}):", port), port
    if "VLLM_SERVER_DEV_MODE" in (services(path)[name].get("environment") or {}):
        assert all(port.startswith("127.0.0.1:") for port in services(path)[name]["ports"])


def test_what_is_stored_is_reached_from_inside_alone() -> None:
    assert compose(MAIN)["networks"]["data"] == {"internal": True}
    for name in ("postgres", "temporal-postgres", "valkey", "qdrant"):
        assert services(MAIN)[name]["networks"] == ["data"]
        assert "ports" not in services(MAIN)[name]


@pytest.mark.parametrize(("path", "name"), EVERY)
def test_what_is_mounted_exists(path: Path, name: str) -> None:
    volumes = set(compose(path)["volumes"])
    for mount in services(path)[name].get("volumes", ()):
        source = filled(mount).split(":")[0]
        assert source in volumes or (source.startswith("./") and (ROOT / source).exists()), source
        assert source in volumes or mount.endswith(":ro")


@pytest.mark.parametrize(("path", "name"), EVERY)
def test_who_waits_waits_for_something_that_can_be_told(path: Path, name: str) -> None:
    everybody = services(path)
    for other, how in services(path)[name].get("depends_on", {}).items():
        once = everybody[other]["restart"] == "on-failure:5"
        assert how["condition"] == ("service_completed_successfully" if once else "service_healthy")


def test_ports_are_the_settings() -> None:
    defaults = {name: field.default for name, field in Settings.model_fields.items()}
    published = {
        name: filled(one["ports"][0]).split(":")[-2:]
        for name, one in services(MAIN).items()
        if "ports" in one
    }
    for name, setting in {
        "api": "api_port",
        "temporal": "temporal_port",
        "temporal-ui": "temporal_ui_port",
        "orchestrator": "orchestrator_port",
        "embeddings": "embeddings_port",
    }.items():
        assert published[name] == [str(defaults[setting])] * 2
    assert services(MAIN)["api"]["environment"]["AITHER_API_PORT"] == str(defaults["api_port"])


def test_workers_have_longer_to_stop_than_they_drain() -> None:
    for name, one in ours().items():
        if READY_FILE in one["environment"]:
            drain = int(filled(one["environment"]["AITHER_DRAIN_SECONDS"]))
            assert int(one["stop_grace_period"].removesuffix("s")) >= drain + 15, name


@pytest.mark.parametrize(
    ("path", "name", "profile"),
    [
        (MAIN, "orchestrator", "orchestrator-5090"),
        (MAIN, "embeddings", "embeddings-5090"),
        (MAIN, "swap-deepseek-r1-14b", "swap-deepseek-r1-14b"),
        (MAIN, "swap-gemma", "swap-gemma"),
        (SPARK, "reasoner", "reasoner-dgx-spark"),
    ],
)
def test_a_model_server_is_started_as_its_profile_says(path: Path, name: str, profile: str) -> None:
    served = load_profile(profile, {"host": "0.0.0.0"})
    command = serve_command(served)
    one = services(path)[name]
    assert [*one["entrypoint"], *one["command"]] == list(command.argv)
    assert command.env.items() <= one["environment"].items()
    assert f":{served.port}/health" in one["healthcheck"]["test"][-1]
    assert [port.split(":")[-1] for port in one["ports"]] == [str(served.port)]


def test_the_configuration_names_services_that_serve_what_it_says() -> None:
    topology = load_topology(Settings(config_file=DEPLOY / "compose" / "aither.toml"))
    servers = {
        "orchestrator-8b": ("orchestrator-5090", "orchestrator"),
        "swap": ("swap-deepseek-r1-14b",) * 2,
    }
    backends = {backend.name: backend for backend in topology.backends}
    for name, (profile, service) in servers.items():
        served = load_profile(profile)
        assert backends[name].base_url == f"http://{service}:{served.port}/v1"
        assert backends[name].model == served.served_name
        assert (backends[name].slots, backends[name].window_tokens) == (
            served.sequences,
            served.window_tokens,
        )
        assert service in services(MAIN)
    spark = load_profile("reasoner-dgx-spark")
    assert backends["reasoner"].base_url == f"http://dgx-spark:{spark.port}/v1"
    assert (backends["reasoner"].model, backends["reasoner"].slots) == (spark.served_name, spark.sequences)
    assert ours()["worker-pools"]["extra_hosts"][0].startswith("dgx-spark:")


def test_memory_asks_the_embeddings_server_of_the_same_file() -> None:
    told = ours()["worker-memory"]["environment"]
    configured = Settings(
        config_file=DEPLOY / "compose" / "aither.toml",
        embeddings_url=filled(told["AITHER_EMBEDDINGS_URL"]),
        embedding_model=filled(told["AITHER_EMBEDDING_MODEL"]),
    )
    served = load_profile("embeddings-5090")
    assert configured.embeddings_target == f"http://embeddings:{served.port}"
    assert load_topology(configured).embedding_model == served.served_name
    # Without a server of one's own it is the embedded stack's, by its own name.
    embedded = Settings(embedding_model="another")
    assert embedded.embeddings_target == "http://127.0.0.1:8209"
    assert load_topology(embedded).embedding_model == EMBEDDED_EMBEDDING_MODEL


def test_grafana_finds_dashboards_and_figures_where_they_are_mounted() -> None:
    grafana = services(MAIN)["grafana"]
    mounts = dict(mount.removesuffix(":ro").split(":") for mount in grafana["volumes"])
    provisioning = DEPLOY / "grafana" / "provisioning"
    assert mounts[f"./{provisioning.relative_to(ROOT)}"] == "/etc/grafana/provisioning"
    for file in (provisioning / "dashboards").glob("*.y*ml"):
        [provider] = documents(file)[0]["providers"]
        assert provider["options"]["path"] == mounts["./infra/deploy/grafana/dashboards"]
    for file in (provisioning / "datasources").glob("*.y*ml"):
        for source in documents(file)[0]["datasources"]:
            host = re.match(r"http://([a-z-]+):\d+", source["url"])
            assert host
            assert host[1] in services(MAIN)


def test_temporal_is_told_what_the_embedded_one_is() -> None:
    [told] = documents(DEPLOY / "temporal" / "dynamicconfig.yaml")
    said: dict[str, Any] = {key: [one["value"] for one in values] for key, values in told.items()}
    assert said == {key: [json.loads(value)] for key, value in DYNAMIC_CONFIG.items()}
    mounted = services(MAIN)["temporal"]
    folder, file = mounted["environment"]["DYNAMIC_CONFIG_FILE_PATH"].rsplit("/", 1)
    assert f"./infra/deploy/temporal:{folder}:ro" in mounted["volumes"]
    assert file == "dynamicconfig.yaml"


@pytest.mark.parametrize(
    "path", [path for path in COMPOSE if path not in (MAIN, SPARK)], ids=lambda path: path.name
)
def test_what_replaces_a_service_names_one(path: Path) -> None:
    assert set(services(path)) <= set(services(MAIN))
