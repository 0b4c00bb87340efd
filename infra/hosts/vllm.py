"""vLLM in sleep mode: it runs by itself, and gives its VRAM away while it sleeps.

Its development endpoints do it: docs.vllm.ai/en/latest/features/sleep_mode. On a platform without sleep mode (and
without the flag) `/sleep` answers 200 all the same and nothing is freed, so nothing is believed that is not seen.
"""

import asyncio
import contextlib
import time
from typing import Any

import aiohttp

from activities.contracts.cards import Found, Residency, Resident
from activities.errors import MoveFailed
from infra.hosts.asking import POLL_S, NobodyThere, ask, healthy
from infra.hosts.listeners import Generations

PROBE_S = 30.0
"""How long the first token after waking may take."""
SLEEP_S = 10.0
"""How long it may take to say that it sleeps, once it has been told to and has agreed."""
HINT = "does not sleep: start it with --enable-sleep-mode and VLLM_SERVER_DEV_MODE=1"


class VllmHost:
    """Implements `activities.hosting.ModelHost`."""

    def __init__(
        self, session: aiohttp.ClientSession, *, probe_s: float = PROBE_S, sleep_s: float = SLEEP_S
    ) -> None:
        self._session = session
        self._generations = Generations()
        self._probe_s = probe_s
        self._sleep_s = sleep_s

    async def bring(self, resident: Resident, to: Residency) -> None:
        """See `ModelHost`."""
        if to is Residency.AWAKE:
            await self._wake(resident)
        elif to is Residency.ASLEEP:
            await self._sleep(resident)
        else:
            raise MoveFailed(f"{resident.name} runs by itself: it can be awake or asleep, not {to}")

    async def find(self, resident: Resident) -> Found:
        """See `ModelHost`."""
        try:
            sleeping = await self._is_sleeping(resident)
            why = "" if sleeping else await healthy(self._session, resident)
        except NobodyThere as error:
            return Found(resident=resident.name, residency=Residency.ABSENT, why=error.message)
        except MoveFailed as error:
            return Found(resident=resident.name, residency=Residency.UNKNOWN, why=error.message)
        residency = Residency.ASLEEP if sleeping else Residency.UNKNOWN if why else Residency.AWAKE
        generation = await self._generations.at(resident.base_url)
        return Found(resident=resident.name, residency=residency, why=why, generation=generation)

    async def taken_mib(self, resident: Resident) -> int | None:
        """See `ModelHost`: it has no account of its own."""

    async def _wake(self, resident: Resident) -> None:
        limit = resident.start_timeout.total_seconds()
        if await self._is_sleeping(resident):
            for method, path, body in _waking(resident.sleep_level):
                status, _ = await ask(self._session, method, resident, path, body=body, within_s=limit)
                if status >= 300:
                    raise MoveFailed(f"{method} {resident.base_url}{path} says {status}")
            if not await self._says(resident, sleeping=False, within_s=limit):
                raise MoveFailed(f"{resident.name} still sleeps {limit:g} s after it was woken")
        await self._probe(resident)

    async def _sleep(self, resident: Resident) -> None:
        _, info = await ask(self._session, "GET", resident, "/server_info?config_format=json")
        if _cannot_sleep(info):
            raise MoveFailed(f"{resident.name} {HINT}")
        path = f"/sleep?level={resident.sleep_level}"
        limit = resident.start_timeout.total_seconds()
        status, _ = await ask(self._session, "POST", resident, path, within_s=limit)
        if status in {404, 405}:
            raise MoveFailed(f"{resident.name} {HINT}")
        if status >= 300:
            raise MoveFailed(f"POST {resident.base_url}{path} says {status}")
        if not await self._says(resident, sleeping=True, within_s=self._sleep_s):
            # Where it cannot sleep, it takes no calls until it is woken.
            with contextlib.suppress(MoveFailed):
                await ask(self._session, "POST", resident, "/wake_up")
            raise MoveFailed(f"{resident.name} {HINT}")

    async def _says(self, resident: Resident, *, sleeping: bool, within_s: float) -> bool:
        """Whether it comes to say so in time."""
        deadline = time.monotonic() + within_s
        while bool(await self._is_sleeping(resident)) is not sleeping:
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(POLL_S)
        return True

    async def _is_sleeping(self, resident: Resident) -> bool | None:
        """By its own word; None where it has none, for it was not started to sleep."""
        status, said = await ask(self._session, "GET", resident, "/is_sleeping")
        if status == 404:
            return None
        if status != 200 or not isinstance(said.get("is_sleeping"), bool):
            raise MoveFailed(f"GET {resident.base_url}/is_sleeping says {status}")
        return bool(said["is_sleeping"])

    async def _probe(self, resident: Resident) -> None:
        """One token, or one embedding of a model that makes those: a server that only seems awake hangs here."""
        _, said = await ask(self._session, "GET", resident, "/v1/models")
        model = _first_model(said)
        if model is None:
            raise MoveFailed(f"{resident.name} names no model at {resident.base_url}/v1/models")
        token = {"model": model, "prompt": "1", "max_tokens": 1}
        vector = {"model": model, "input": "1"}
        statuses: list[int] = []
        for path, body in (("/v1/completions", token), ("/v1/embeddings", vector)):
            status, _ = await ask(self._session, "POST", resident, path, body=body, within_s=self._probe_s)
            if status == 200:
                return
            statuses.append(status)
        raise MoveFailed(f"{resident.name} is awake and answers nothing: it says {statuses[0]}")


def _waking(level: int) -> tuple[tuple[str, str, Any], ...]:
    """The requests that wake it. At level 2 the weights are gone, and are loaded anew."""
    if level == 1:
        return (("POST", "/wake_up", None),)
    return (
        ("POST", "/wake_up?tags=weights", None),
        ("POST", "/collective_rpc", {"method": "reload_weights"}),
        ("POST", "/wake_up?tags=kv_cache", None),
    )


def _cannot_sleep(info: dict[str, Any]) -> bool:
    """Whether it says that it was started without sleep mode. Versions that do not tell are given the doubt."""
    try:
        return info["vllm_config"]["model_config"]["enable_sleep_mode"] is False
    except (KeyError, TypeError):
        return False


def _first_model(said: dict[str, Any]) -> str | None:
    try:
        return str(said["data"][0]["id"])
    except (KeyError, IndexError, TypeError):
        return None
