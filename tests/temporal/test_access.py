"""How Temporal is reached: what is wrong with files is said before anybody connects, the rest in one line after."""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from temporalio.service import TLSConfig

from infra.config.mistakes import ConfigError
from infra.settings import Settings
from infra.temporal import connect
from infra.temporal.access import access
from infra.temporal.saying import why_not
from tests.support.tls_proxy import Authority, Paper, tls_in_front
from tests.temporal.conftest import Server

WANTED = r"it (asks for|closed the connection; it may want) a certificate.*AITHER_TEMPORAL_TLS_CERT"
TURNED_DOWN = r"it (does|closed the connection; it may) not take our certificate"
"""TLS 1.3 says so after it has let a client begin to talk: what it says may be lost."""
CLOUD = "eu-west-1.aws.api.temporal.io:7233"


def reached(**how: Any) -> Settings:
    return Settings(config_file=None, **{f"temporal_{name}": value for name, value in how.items()})


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "ours")


Wrong = Callable[[Authority, Path], tuple[dict[str, Any], str]]


def _files(paper: Paper) -> dict[str, Any]:
    return {"tls_cert": paper.cert, "tls_key": paper.key}


def _missing(_: Authority, folder: Path) -> tuple[dict[str, Any], str]:
    place = folder / "nowhere.pem"
    return {"tls_ca": place}, f"AITHER_TEMPORAL_TLS_CA: {place} cannot be read: no such file or directory"


def _folder(_: Authority, folder: Path) -> tuple[dict[str, Any], str]:
    return {"tls_ca": folder}, f"AITHER_TEMPORAL_TLS_CA: {folder} cannot be read: is a directory"


def _no_pem(_: Authority, folder: Path) -> tuple[dict[str, Any], str]:
    place = folder / "odd.pem"
    place.write_text("hello")
    return {"tls_ca": place}, f"AITHER_TEMPORAL_TLS_CA: {place} holds no certificate in PEM"


def _no_key(authority: Authority, _: Path) -> tuple[dict[str, Any], str]:
    how = {"tls_cert": authority.paper("us").cert}
    return how, (
        "AITHER_TEMPORAL_TLS_KEY: not set, and AITHER_TEMPORAL_TLS_CERT is: a certificate needs its key"
    )


def _no_cert(authority: Authority, _: Path) -> tuple[dict[str, Any], str]:
    how = {"tls_key": authority.paper("us").key}
    return how, (
        "AITHER_TEMPORAL_TLS_CERT: not set, and AITHER_TEMPORAL_TLS_KEY is: a key needs its certificate"
    )


def _mismatched(authority: Authority, _: Path) -> tuple[dict[str, Any], str]:
    one, other = authority.paper("one"), authority.paper("other")
    how = {"tls_cert": one.cert, "tls_key": other.key}
    return how, f"AITHER_TEMPORAL_TLS_KEY: {other.key} is not the key of the certificate {one.cert}"


def _swapped(authority: Authority, _: Path) -> tuple[dict[str, Any], str]:
    paper = authority.paper("us")
    how = {"tls_cert": paper.cert, "tls_key": paper.cert}
    return how, f"AITHER_TEMPORAL_TLS_KEY: {paper.cert} holds no private key in PEM"


def _locked(authority: Authority, _: Path) -> tuple[dict[str, Any], str]:
    paper = authority.paper("us", passphrase=b"sesame")
    said = f"{paper.key} is locked by a passphrase, and nobody is there to say it"
    return _files(paper), f"AITHER_TEMPORAL_TLS_KEY: {said}"


def _run_out(authority: Authority, _: Path) -> tuple[dict[str, Any], str]:
    paper = authority.paper("us", days=-1)
    return _files(paper), f"AITHER_TEMPORAL_TLS_CERT: {paper.cert} ran out on "


def _scheme(_: Authority, __: Path) -> tuple[dict[str, Any], str]:
    return {"address": "https://temporal:7233"}, "AITHER_TEMPORAL_ADDRESS: it is `host:port`"


def _cloud_namespace(_: Authority, __: Path) -> tuple[dict[str, Any], str]:
    how = {"address": CLOUD, "api_key": "secret"}
    return how, (
        'AITHER_TEMPORAL_NAMESPACE: "default" is none of Temporal Cloud\'s, which are `name.account`'
    )


def _cloud_nobody(_: Authority, __: Path) -> tuple[dict[str, Any], str]:
    how = {"address": CLOUD, "namespace": "prod.a1b2c", "tls": True}
    return how, (
        "AITHER_TEMPORAL_API_KEY: Temporal Cloud takes a key, or a certificate (AITHER_TEMPORAL_TLS_CERT)"
    )


WRONG: list[Wrong] = [
    *(_missing, _folder, _no_pem, _no_key, _no_cert, _mismatched, _swapped, _locked, _run_out),
    *(_scheme, _cloud_namespace, _cloud_nobody),
]


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.__name__.strip("_"))
def test_what_is_wrong_is_said_with_its_variable(wrong: Wrong, authority: Authority, tmp_path: Path) -> None:
    how, told = wrong(authority, tmp_path)
    with pytest.raises(ConfigError) as caught:
        access(reached(**how))
    assert str(caught.value).startswith(told)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_key_of_the_cloud_brings_tls_along_and_does_not_show_itself() -> None:
    found = access(reached(address=CLOUD, namespace="prod.a1b2c", api_key="secret"))
    assert (found.tls, found.cloud, found.manner) == (True, True, "TLS, API key")
    assert "secret" not in repr(found)


def test_empty_variables_ask_for_nothing() -> None:
    found = access(reached(tls_ca=Path(), tls_cert="", tls_key="", tls_server_name="", api_key=""))
    assert (found.tls, found.api_key, found.manner) == (False, None, "no TLS")


def test_a_certificate_alone_is_enough_for_the_cloud(authority: Authority) -> None:
    how = _files(authority.paper("us"))
    found = access(reached(address="prod.a1b2c.tmprl.cloud:7233", namespace="prod.a1b2c", **how))
    assert isinstance(found.tls, TLSConfig)
    assert found.manner == "mTLS"


async def test_by_mtls_it_is_reached_and_whoever_is_not_known_is_told_why(
    server: Server, authority: Authority, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path, "strangers")
    us, them = authority.paper("us"), stranger.paper("them")
    named = authority.paper("named", dns="temporal.internal")

    async def refused(target: str, **how: Any) -> str:
        with pytest.raises(RuntimeError) as caught:
            await connect(reached(address=target, **how))
        return why_not(caught.value, access(reached(address=target, **how)))

    async with tls_in_front(server.port, authority.paper("server"), clients=authority.cert) as target:
        client = await connect(reached(address=target, tls_ca=authority.cert, **_files(us)))
        assert await client.count_workflows("")
        no = f"Temporal at {target} cannot be reached: "
        assert re.match(f"{no}{WANTED}", await refused(target, tls_ca=authority.cert))
        assert re.match(f"{no}{TURNED_DOWN}", await refused(target, tls_ca=authority.cert, **_files(them)))
        assert (await refused(target, tls_ca=stranger.cert, **_files(us))).startswith(
            f"{no}its certificate is not of the CA"
        )
        assert await refused(target) == f"{no}it closed the connection; it may want TLS (AITHER_TEMPORAL_TLS)"
        await told_by_status(target, authority, us)
    async with tls_in_front(server.port, named) as target:
        assert (await refused(target, tls_ca=authority.cert)).startswith(
            f"Temporal at {target} cannot be reached: its certificate is for another name"
        )
        await connect(reached(address=target, tls_ca=authority.cert, tls_server_name="temporal.internal"))
    assert "it does not speak TLS" in await refused(server.target, tls=True)
    assert "nothing answers there" in await refused("127.0.0.1:1")


async def told_by_status(target: str, authority: Authority, us: Paper) -> None:
    """The command says the same, in a line."""
    known = {
        "AITHER_TEMPORAL_ADDRESS": target,
        "AITHER_TEMPORAL_NAMESPACE": "nowhere",
        "AITHER_TEMPORAL_TLS_CA": str(authority.cert),
    }
    shown = {"AITHER_TEMPORAL_TLS_CERT": str(us.cert), "AITHER_TEMPORAL_TLS_KEY": str(us.key)}
    (code, out, said), (without, _, why) = await asyncio.gather(
        aither("temporal", "status", env=known | shown), aither("temporal", "status", env=known)
    )
    assert (code, without, said) == (1, 3, "")
    assert f"{target}, mTLS" in out
    assert "there is no namespace nowhere: `aither temporal setup` makes it" in out
    (line,) = why.splitlines()
    assert re.match(f"aither: Temporal at {target} cannot be reached: {WANTED}", line)


async def aither(*words: str, env: dict[str, str]) -> tuple[int, str, str]:
    """Runs a command; its exit code, and what it said."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("AITHER_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "api.cli.main", *words),
        env=ours | {"NO_COLOR": "1"} | env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, said = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), said.decode()
