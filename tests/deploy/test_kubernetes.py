"""The Kubernetes manifests: what the API server would say, and what our own code knows."""

import re
from collections.abc import Iterator
from typing import Any

import kubernetes_validate
import pytest
import yaml

from infra.settings import Settings
from infra.topology import load_topology
from tests.deploy.files import DEPLOY, MAIN, documents, filled, of_settings, services
from workers.fleets import USUAL
from workers.health import READY_FILE
from workflows.names import Queue

KUBERNETES = DEPLOY / "kubernetes"
BASE = KUBERNETES / "base"
FILES = sorted(KUBERNETES.rglob("*.yaml"))
SECRETS = {"aither-secrets", "aither-admin", "aither-model-keys", "aither-burst-keys"}
VERSIONS = ("1.31", "1.37")

TEMPORAL_TRIGGER = {
    "endpoint",
    "endpointFromEnv",
    "namespace",
    "taskQueue",
    "targetQueueSize",
    "activationTargetQueueSize",
    "queueTypes",
    "workerDeploymentName",
    "workerDeploymentBuildId",
    "apiKeyFromEnv",
    "minConnectTimeout",
    "unsafeSsl",
    "tlsServerName",
}
"""What KEDA's `temporal` scaler reads (keda.sh, 2.17 to 2.22)."""


def everything(kind: str | None = None) -> list[dict[str, Any]]:
    found = [one for path in FILES for one in documents(path)]
    return [one for one in found if kind is None or one["kind"] == kind]


def workloads() -> Iterator[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]]:
    """Each Deployment and Job, its pod, its one container."""
    for one in (*everything("Deployment"), *everything("Job")):
        pod = one["spec"]["template"]["spec"]
        [container] = pod["containers"]
        yield one, pod, container


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_knows_every_field(version: str) -> None:
    own = ("kustomize.config.k8s.io", "keda.sh")
    native = [one for one in everything() if not one["apiVersion"].startswith(own)]
    assert len(native) > 15
    for one in native:
        kubernetes_validate.validate(one, version, strict=True)


def test_there_is_a_deployment_for_each_process_and_it_runs_what_compose_runs() -> None:
    commands = {one["metadata"]["name"]: container["command"] for one, _, container in workloads()}
    assert set(commands) == {
        "api",
        *(f"worker-{fleet}" for fleet in USUAL),
        "aither-migrate",
        "aither-temporal-setup",
    }
    for name, command in commands.items():
        assert command == services(MAIN)[name.removeprefix("aither-")]["command"]


def test_every_pod_is_held_as_the_restricted_standard_wants_it() -> None:
    for one, pod, container in workloads():
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] == 10001
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert set(container["resources"]["requests"]) == {"cpu", "memory"}
        assert "memory" in container["resources"]["limits"], one["metadata"]["name"]
        assert container["image"] == "aither", "which kustomize replaces"


def test_whoever_is_looked_at_says_so_in_a_way_that_exists() -> None:
    for one, pod, container in workloads():
        if one["kind"] == "Job":
            continue
        own = {each["name"]: each["value"] for each in container["env"]}
        assert {"startupProbe", "livenessProbe"} <= set(container)
        if one["metadata"]["name"] == "api":
            assert container["readinessProbe"]["httpGet"] == {"path": "/health", "port": "http"}
            assert container["ports"][0]["containerPort"] == int(own["AITHER_API_PORT"])
            continue
        assert container["livenessProbe"]["exec"]["command"] == ["python", "-m", "workers.health"]
        assert own[READY_FILE].startswith("/tmp/")
        assert container["ports"][0]["containerPort"] == int(own["AITHER_METRICS_PORT"])
        drain = int(settings()["AITHER_DRAIN_SECONDS"])
        assert pod["terminationGracePeriodSeconds"] >= drain + 15


def test_what_is_mounted_is_there_and_paths_are_the_settings() -> None:
    said = settings()
    for _, pod, container in workloads():
        volumes = {volume["name"] for volume in pod["volumes"]}
        mounted = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
        assert set(mounted.values()) <= volumes
        assert said["AITHER_DATA_DIR"] in mounted
        assert said["AITHER_CONFIG_FILE"].rsplit("/", 1)[0] in mounted
        assert "/tmp" in mounted


def settings() -> dict[str, str]:
    [found] = documents(BASE / "settings.yaml")
    return found["data"]


def test_variables_are_settings_and_hold_no_secret() -> None:
    secret = {
        f"AITHER_{name.upper()}"
        for name, field in Settings.model_fields.items()
        if "Secret" in str(field.annotation)
    }
    assert set(settings()) <= of_settings() - secret
    own = {each["name"] for _, _, container in workloads() for each in container.get("env", ())}
    assert own <= of_settings() | {READY_FILE}
    Settings.model_validate(
        {name.removeprefix("AITHER_").lower(): value for name, value in settings().items()}
    )


def test_secrets_are_named_alone_and_go_to_those_who_need_them() -> None:
    assert everything("Secret") == []
    given = {
        one["metadata"]["name"]: {
            each["secretRef"]["name"] for each in container["envFrom"] if "secretRef" in each
        }
        for one, _, container in workloads()
    }
    assert set().union(*given.values()) == SECRETS
    assert [name for name, names in given.items() if "aither-admin" in names] == ["aither-migrate"]
    assert given["aither-migrate"] == {"aither-admin"}
    assert [name for name, names in given.items() if "aither-model-keys" in names] == ["worker-pools"]
    assert [name for name, names in given.items() if "aither-burst-keys" in names] == ["worker-burst"]


def test_selectors_find_their_pods() -> None:
    labels = {
        one["metadata"]["name"]: one["spec"]["template"]["metadata"]["labels"] for one, _, _ in workloads()
    }
    for one in everything("Deployment"):
        assert one["spec"]["selector"]["matchLabels"] == labels[one["metadata"]["name"]]
    for one in (*everything("PodDisruptionBudget"), *everything("NetworkPolicy")):
        wanted = (one["spec"].get("selector") or one["spec"]["podSelector"])["matchLabels"]
        assert any(wanted.items() <= each.items() for each in labels.values())
    [service] = everything("Service")
    assert service["spec"]["selector"] == labels[service["metadata"]["name"]]
    [ingress] = everything("Ingress")
    assert ingress["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"] == {
        "name": "api",
        "port": {"name": "http"},
    }


def test_workers_grow_by_the_backlog_of_queues_that_exist() -> None:
    topology = load_topology(Settings(config_file=BASE / "aither.toml"))
    grown = {one["metadata"]["name"]: one["spec"] for one in everything("ScaledObject")}
    deployments = {one["metadata"]["name"] for one in everything("Deployment")}
    queues = dict[str, set[str]]()
    for name, spec in grown.items():
        assert spec["scaleTargetRef"] == {"name": name}
        assert name in deployments
        assert 1 <= spec["minReplicaCount"] < spec["maxReplicaCount"], "never to zero"
        for trigger in spec["triggers"]:
            said = trigger["metadata"]
            assert trigger["type"] == "temporal"
            assert set(said) <= TEMPORAL_TRIGGER
            assert {"taskQueue", "targetQueueSize"} <= set(said)
            assert said["endpointFromEnv"] in settings()
            assert said["namespace"] == settings()["AITHER_TEMPORAL_NAMESPACE"]
            assert set(said["queueTypes"].split(",")) <= {"workflow", "activity"}
            assert all(isinstance(value, str) for value in said.values()), "KEDA takes strings alone"
            queues.setdefault(name, set()).add(said["taskQueue"])
    assert queues == {
        "worker-turns": {Queue.TURNS},
        "worker-pools": {backend.queue for backend in topology.backends},
        "worker-memory": {Queue.MEMORY},
    }


def test_kustomizations_name_files_that_are_there_and_all_of_them() -> None:
    for path in KUBERNETES.rglob("kustomization.yaml"):
        said = yaml.safe_load(path.read_text())
        named = [*said["resources"], *said.get("components", ())]
        named += [file for one in said.get("configMapGenerator", ()) for file in one["files"]]
        assert all((path.parent / one).exists() for one in named)
        beside = {one.name for one in path.parent.iterdir() if one.is_file()} - {"kustomization.yaml"}
        assert beside == {one for one in named if not one.startswith("..")}


def test_the_image_is_not_a_moving_one() -> None:
    said = yaml.safe_load((KUBERNETES / "overlays" / "example" / "kustomization.yaml").read_text())
    [image] = said["images"]
    assert image["name"] == "aither"
    assert re.fullmatch(r"\d+\.\d+\.\d+", image["newTag"])
    assert filled(services(MAIN)["api"]["image"]).startswith("aither:")
