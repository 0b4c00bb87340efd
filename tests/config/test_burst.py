"""`[burst]`: what is read, and every mistake with its line."""

from datetime import timedelta

import pytest

from activities.contracts.backends import Dialect, Locality
from activities.contracts.bursting import Burst
from activities.contracts.lease_views import Agreement
from activities.contracts.leases import Purpose
from infra.config.assembly import assembled
from infra.config.document import parsed
from infra.config.mistakes import ConfigError
from infra.settings import Settings
from infra.topology import embedded_topology

WHOLE = """
[burst]
enabled = true
installation = "home"
day_usd = 5
max_leases = 2
check = "20s"
idle = "10m"

[burst.timing]
boot = "10m"
heartbeat = "15s"

[burst.reasoning]
pool = "llm-orchestrator"
trusted = true
image = "vllm/vllm-openai:v0.11.0"
command = ["vllm", "serve", "{models}/qwen", "--port", "{port}", "--port", "{port}"]
models = ["aither://models/shared/qwen/"]
optional_models = ["aither://models/shared/draft/d.safetensors"]
slots = 10
vram_mib = 80_000
usd_per_hour = 1.5
lease_usd = 4
approval = "ask"
regions = ["SE", "NO"]
threshold = "45s"
env = { HF_HUB_OFFLINE = "1" }
"""


def burst_of(text: str) -> Burst:
    return assembled(parsed(text), embedded_topology(Settings(config_file=None))).burst


def test_all_of_it_is_read() -> None:
    burst = burst_of(WHOLE)
    plan = burst.plan(Purpose.REASONING)
    assert plan is not None
    assert (burst.enabled, burst.installation, burst.day_usd, burst.most) == (True, "home", 5.0, 2)
    assert (plan.timing.check, plan.timing.idle, plan.timing.boot) == (
        timedelta(seconds=20),
        timedelta(minutes=10),
        timedelta(minutes=10),
    )
    assert plan.box.pace.heartbeat == timedelta(seconds=15)
    assert plan.box.command[-2:] == ("--port", "{port}")
    assert [need.required for need in plan.box.models] == [True, False]
    assert plan.box.env == {"HF_HUB_OFFLINE": "1"}
    assert (plan.need.usd_per_hour, plan.need.regions, plan.lease_usd) == (1.5, ("SE", "NO"), 4.0)
    assert plan.agreement is Agreement.ASK
    backend = plan.box.backend
    like = embedded_topology(Settings(config_file=None)).backends[0]
    assert (backend.model, backend.window_tokens, backend.locality) == (
        like.model,
        like.window_tokens,
        Locality.LOCAL,
    )
    assert (backend.dialect, backend.slots, backend.pool) == (Dialect.VLLM, 10, "llm-orchestrator")
    assert (burst.rules[0].threshold, burst.rules[0].idle) == (timedelta(seconds=45), timedelta(minutes=10))
    assert burst.plan(Purpose.IMAGES) is None


def test_without_a_word_there_is_none() -> None:
    assert burst_of("") == Burst()
    assert not Burst().enabled


@pytest.mark.parametrize(
    ("was", "now", "line", "told"),
    [
        ('installation = "home"\n', "", 3, "installation is missing"),
        ('installation = "home"', 'installation = "my-home"', 4, "small letters and digits"),
        ("trusted = true\n", "", 15, "may not leave the building"),
        ('pool = "llm-orchestrator"', 'pool = "llm-big"', 15, "is no pool"),
        ("vram_mib = 80_000", "vram_gb = 80", 22, 'did you mean "vram_mib"'),
        ("usd_per_hour = 1.5\n", "", 14, "usd_per_hour is missing"),
        ("usd_per_hour = 1.5", "usd_per_hour = 0", 23, "above 0"),
        ('approval = "ask"', 'approval = "yes"', 25, '"yes" is unknown'),
        ('heartbeat = "15s"', 'heartbeat = "2m"', 12, "at least two heartbeats"),
        ('"aither://models/shared/qwen/"', '"https://x/y"', 14, "is no model"),
        ("day_usd = 5", "day_usd = -1", 5, "at least 0"),
        ("max_leases = 2", "max_leases = 0", 6, "from 1 to 100"),
        ("[burst.reasoning]", "[burst.thinking]", 14, "unknown"),
    ],
)
def test_every_mistake_is_told_with_its_line(was: str, now: str, line: int, told: str) -> None:
    assert was in WHOLE
    with pytest.raises(ConfigError) as caught:
        burst_of(WHOLE.replace(was, now, 1))
    mistakes = [(each.line, each.text) for each in caught.value.mistakes]
    assert any(where == line and told in text for where, text in mistakes), mistakes
