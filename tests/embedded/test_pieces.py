"""What the stack rests on: processes that are told apart, passwords that fit, files that only we read."""

import base64
import hashlib
import hmac
import os
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from infra.embedded import passwords, ports, state
from infra.embedded.layout import Layout, write_private_json
from infra.embedded.processes import ProcessId, identify
from infra.embedded.spawn import launch_argv

ROOT = Path(__file__).parents[2]


def test_a_pid_that_another_process_has_by_now_is_not_taken_for_ours() -> None:
    this = identify(os.getpid())
    assert this is not None
    assert this.alive
    assert not ProcessId(this.pid, this.started - 1).alive
    assert not ProcessId(this.pid, this.started - 1).send(signal.SIGKILL)


def test_a_process_is_gone_once_it_has_ended_even_before_it_is_reaped() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    named = identify(process.pid)
    assert named is not None
    named.stop(signal.SIGTERM, 10)
    assert not named.alive
    process.communicate()


def test_a_part_ends_with_the_process_that_started_it() -> None:
    """The launcher is bound to its parent, here a shell that is killed."""
    sleeper = launch_argv(("/bin/sleep", "1000"), signal.SIGKILL, None)
    script = (
        "import subprocess, sys, os\n"
        f"argv = {list(sleeper)!r}\n"
        f"argv[5] = str(os.getpid())\n"
        "p = subprocess.Popen(argv)\n"
        "print(p.pid, flush=True)\n"
        "input()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        named = identify(int(parent.stdout.readline()))
        assert named is not None
        parent.kill()
        assert named.wait(10)


def test_a_part_whose_parent_has_gone_already_does_not_start() -> None:
    argv = list(launch_argv(("/bin/sleep", "1000"), signal.SIGKILL, None))
    argv[5] = "1"
    assert subprocess.run(argv, check=False, timeout=10).returncode == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_may_pass_folders_that_only_root_may(tmp_path: Path) -> None:
    """PostgreSQL, in a checkout below /root, looks for its own programs by access(2)."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    shell = Path(shutil.copy("/bin/sh", closed))
    look = f"import os; print(os.getuid(), os.access({str(shell)!r}, os.X_OK), os.access('/etc/shadow', os.W_OK))"
    argv = launch_argv((str(shell), "-c", f'exec {sys.executable} -c "{look}"'), signal.SIGKILL, 65534)
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd="/")
    assert done.stdout.split() == ["65534", "True", "False"], done.stderr


def test_the_verifier_is_what_the_password_makes(tmp_path: Path) -> None:
    kind, rest, keys = passwords.scram_verifier("secret").split("$")
    iterations, salt = rest.split(":")
    stored, server = (base64.b64decode(key) for key in keys.split(":"))
    salted = hashlib.pbkdf2_hmac("sha256", b"secret", base64.b64decode(salt), int(iterations))
    assert kind == "SCRAM-SHA-256"
    assert stored == hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    assert server == hmac.digest(salted, b"Server Key", "sha256")


def test_passwords_are_made_once(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "data")
    layout.make()
    made = passwords.load_or_make(layout)
    assert passwords.load_or_make(layout) == made
    assert stat.S_IMODE(layout.secrets_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(layout.root.stat().st_mode) == 0o711


def test_a_private_file_is_closed_even_where_an_open_one_was(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.touch(mode=0o644)
    write_private_json(path, {"a": 1})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_one_supervisor_a_directory(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.make()
    first, second = state.Lock(layout), state.Lock(layout)
    assert first.take()
    assert not second.take()
    first.release()
    assert second.take()
    second.release()


def test_a_state_of_another_version_counts_as_none(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.make()
    assert state.read(layout) is None
    layout.state_file.write_text('{"pid": "what"}')
    assert state.read(layout) is None
    assert state.stop_leftovers(layout) == []


def test_a_port_given_twice_is_named() -> None:
    assert ports.doubled({"api": 1, "redis": 2, "postgres": 1}) == ["port 1 is set for both api and postgres"]


@pytest.mark.parametrize("argument", ["--help", "up --help", "down --help", "status --help", "logs --help"])
def test_every_command_explains_itself_without_loading_what_it_does_not_need(argument: str) -> None:
    script = (
        "import sys; from api.cli.main import app\n"
        "try: app(sys.argv[1:], prog_name='aither')\n"
        "except SystemExit as end: assert end.code in (0, None), end.code\n"
        "heavy = {'pydantic_settings', 'asyncpg', 'temporalio', 'fastapi', 'httpx2', 'psutil'} & sys.modules.keys()\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *argument.split()], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Usage: aither" in done.stdout


def test_an_unknown_command_is_a_usage_error() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "api.cli.main", "nonsense"], capture_output=True, check=False
    )
    assert done.returncode == 2
