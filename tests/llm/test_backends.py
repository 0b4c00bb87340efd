"""From the topology to backends that can be asked."""

import pytest

from activities.contracts.backends import Backend, BackendKind, Dialect, Locality
from activities.contracts.topology import Topology
from activities.errors import BackendError, BackendRefusedKey
from infra.llm.backends import open_backends
from tests.llm.asking import KEY, gather, saying
from tests.support.standin import StandIn


async def test_each_backend_is_reached_under_its_name_with_its_own_key() -> None:
    async with StandIn() as one, StandIn() as other:
        backends = (
            Backend(name="one", base_url=one.url, model="m", api_key_env="ONE_KEY"),
            Backend(
                name="other",
                kind=BackendKind.ANTHROPIC,
                base_url=other.origin,
                model="m",
                api_key_env="OTHER_KEY",
            ),
        )
        env = {"ONE_KEY": "one-key-1", "OTHER_KEY": "other-key-2"}
        async with open_backends(Topology(backends=backends, ladders=()), env) as opened:
            assert set(opened) == {"one", "other"}
            for rung in opened.values():
                await gather(rung.stream(saying("?")))
        for standin, own, foreign in ((one, "one-key-1", "other-key-2"), (other, "other-key-2", "one-key-1")):
            [call] = standin.calls
            assert own in str(call.headers) and foreign not in str(call.headers)


async def test_a_missing_key_is_named_and_stops_nothing_else() -> None:
    async with StandIn() as standin:
        backends = (
            Backend(name="cloud", base_url=standin.url, model="m", api_key_env="CLOUD_KEY"),
            Backend(name="local", base_url=standin.url, model="m"),
        )
        async with open_backends(Topology(backends=backends, ladders=()), {"CLOUD_KEY": " "}) as opened:
            with pytest.raises(BackendRefusedKey, match="CLOUD_KEY"):
                await gather(opened["cloud"].stream(saying("?")))
            assert standin.connections == 0
            assert await opened["cloud"].count_tokens(saying("?").messages) > 1
            assert (await gather(opened["local"].stream(saying("hi")))).text == "hi"


async def test_only_what_leaves_the_building_goes_through_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    async with StandIn() as standin, StandIn() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.origin)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        backends = tuple(
            Backend(name=where, base_url=standin.url, model="m", locality=where, dialect=Dialect.OPENAI)
            for where in Locality
        )
        async with open_backends(Topology(backends=backends, ladders=()), {"K": KEY}) as opened:
            await gather(opened[Locality.LOCAL].stream(saying("?")))
            assert (standin.connections, proxy.connections) == (1, 0)
            with pytest.raises(BackendError):
                await gather(opened[Locality.CLOUD].stream(saying("?")))
            assert (standin.connections, proxy.connections) == (1, 1)
