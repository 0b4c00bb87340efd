"""Metrics: what the API and a worker really serve is what the dashboard and the alerts ask for."""

import json
import re
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from infra.telemetry.figures import Figures
from infra.telemetry.house import LOOK, SILENCE
from tests.support.standin import Reply
from tests.telemetry.installed import Installed

DEPLOY = Path(__file__).parents[2] / "infra" / "deploy"
NAMES = re.compile(r"\b((?:aither|temporal|vllm|process|up)[:_][a-z0-9_:]+)")
LABELS = {
    *("pool", "backend", "state", "process", "le", "card", "resident", "part"),
    *("kind", "status", "fleet", "window", "workflow", "version", "method", "route"),
    *("outcome", "effort", "rung", "code", "activity", "sweep", "event", "fate"),
}

VLLM = {
    *("vllm:num_requests_running", "vllm:num_requests_waiting", "vllm:kv_cache_usage_perc"),
    *("vllm:engine_sleep_state", "vllm:lora_requests_info"),
    *("vllm:prompt_tokens_total", "vllm:generation_tokens_total", "vllm:prefix_cache_hits_total"),
    *("vllm:spec_decode_num_drafts_total", "vllm:spec_decode_num_draft_tokens_total"),
    "vllm:spec_decode_num_accepted_tokens_total",
    *(f"vllm:{name}_seconds_{part}" for name in ("time_to_first_token", "inter_token_latency") for part in
      ("bucket", "count", "sum")),
    *(f"vllm:request_queue_time_seconds_{part}" for part in ("bucket", "count", "sum")),
}  # fmt: skip
"""What vLLM 0.32 serves, of what is asked for."""
ONLY_IN_NEED = {"temporal_workflow_task_execution_failed_total", "temporal_activity_execution_failed_total"}
"""What Temporal's SDK serves once there is something to count."""


def panels() -> list[dict[str, object]]:
    return dashboard()["panels"]


def dashboard() -> dict[str, list[dict[str, object]]]:
    return json.loads((DEPLOY / "grafana" / "dashboards" / "aither.json").read_text())


def asked_for() -> set[str]:
    """The metrics of every expression of the dashboard and the alerts."""
    rules = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())
    expressions = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    expressions += re.findall(r'"expr": "((?:[^"\\]|\\.)*)"', json.dumps(dashboard()))
    bare = [re.sub(r'\\?"[^"]*"', "", expression) for expression in expressions]
    return {name for expression in bare for name in NAMES.findall(expression)}


async def scraped(installed: Installed) -> dict[str, str]:
    """Every sample name of a real scrape of both processes, with its HELP."""
    async with installed.client() as client:
        texts = [(await client.get("/metrics")).text, (await client.get(installed.metrics_url)).text]
    found: dict[str, str] = {}
    for text in texts:
        for family in text_string_to_metric_families(text):
            names = {sample.name for sample in family.samples}
            parts = ("_bucket", "_count", "_sum") if family.type == "histogram" else ()
            suffix = "_total" if family.type == "counter" else ""
            names |= {f"{family.name}{part}" for part in parts} or {f"{family.name}{suffix}"}
            for name in names:
                found[name] = family.documentation
            for sample in family.samples:
                if sample.name.startswith("aither_"):
                    assert sample.labels.keys() <= LABELS, sample
    return found


async def test_all_that_is_asked_for_is_served_and_explained(installed: Installed) -> None:
    installed.front.script(Reply(tool_calls=(("reason", '{"question": "why"}'),)))
    await installed.ask(effort=8)
    served = await scraped(installed)
    wanted = asked_for()
    assert len(wanted) > 50
    assert not wanted - served.keys() - VLLM - ONLY_IN_NEED
    assert not [
        name for name, says in served.items() if name.startswith("aither_") and not says.endswith(".")
    ]
    assert not [name for name, says in served.items() if not says]


async def test_what_a_turn_comes_to_is_counted_once(installed: Installed) -> None:
    before = await counted(installed)
    installed.front.script(Reply(tool_calls=(("reason", '{"question": "why"}'),)))
    turn = await installed.ask(effort=8)
    handle = installed.temporal.get_workflow_handle(f"turn/{turn['id']}")
    await handle.result()
    after = await counted(installed)

    def more(name: str, **labels: str) -> float:
        key = (name, frozenset(labels.items()))
        return after.get(key, 0.0) - before.get(key, 0.0)

    hop = turn["route"][1]
    assert more("aither_turns_total", outcome="completed", effort="8") == 1
    assert more("aither_hops_total", rung="front", backend="front", outcome="escalated") == 1
    assert more("aither_hops_total", rung="deep", backend="deep", outcome="answered") == 1
    assert more("aither_tokens_total", backend="deep", kind="completion") == hop["completion_tokens"]
    assert more("aither_spend_usd_total", backend="deep") == pytest.approx(hop["cost_usd"])
    assert more("aither_first_token_seconds_count", backend="deep") == 1
    assert more("aither_hop_wait_seconds_count", pool="llm-deep") == 1
    assert more("aither_turn_seconds_count", outcome="completed") == 1
    assert more("aither_activities_total", activity="chat", outcome="completed") == 2


async def counted(installed: Installed) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    async with installed.client() as client:
        text = (await client.get(installed.metrics_url)).text
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_the_api_serves_what_holds_for_the_house(installed: Installed) -> None:
    async with installed.client() as client:
        text = (await client.get("/metrics")).text
    async with installed.client("ak_nobody") as nobody:
        assert (await nobody.get("/metrics")).status_code == 401
    seen = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert seen["aither_fleet_workers", "turns"] == 1
    assert seen["aither_fleet_workers", "telegram"] == 0
    assert seen["aither_services", "online", "worker"] == 1
    assert seen["aither_leases", "serving"] == 0
    assert seen["aither_workflows_running", "approval"] == 0
    assert seen["aither_database_connections", "max"] == 10
    assert "acme" not in text and "turn_" not in text.replace("turn_seconds", "")


async def test_a_look_at_the_house_reads_what_is_open_and_no_history(installed: Installed) -> None:
    """By its plan: whatever grows with the years is read by an index, or is not read."""
    import asyncpg

    connection = await asyncpg.connect(installed.stores.admin)
    try:
        await connection.execute("set enable_seqscan = off")
        plan = await connection.fetchval(f"explain (format json) {LOOK.replace('$1', _interval())}")
    finally:
        await connection.close()
    indexes = set(re.findall(r'"Index Name": "([a-z_]+)"', plan))
    assert {"leases_open", "lease_spend_by_time"} <= indexes
    read = set(re.findall(r'"Relation Name": "([a-z_]+)"', plan))
    assert read == {"services", "leases", "lease_spend"}


def _interval() -> str:
    return f"interval '{SILENCE.total_seconds():g} seconds'"


def test_counters_name_no_turn_job_or_tenant() -> None:
    for family in Figures().registry.collect():
        assert family.documentation.endswith("."), family.name
    named = {label for metric in vars(Figures()).values() for label in getattr(metric, "_labelnames", ())}
    assert named <= LABELS and not named & {"turn", "job", "tenant", "key", "user"}


def test_the_dashboard_is_whole() -> None:
    found = panels()
    assert len({panel["id"] for panel in found}) == len(found)
    taken: set[tuple[int, int]] = set()
    for panel in found:
        place = panel["gridPos"]
        assert isinstance(place, dict)
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
        assert panel["title"]
        if panel["type"] != "row":
            assert panel["description"]
            assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    whole = json.dumps(dashboard())
    assert '"query": "prometheus"' in whole and '"uid": "aither"' in whole
    rows = [panel["title"] for panel in found if panel["type"] == "row"]
    assert rows == [
        *("Turns", "Rungs", "Waiting", "Tokens", "Dollars", "Slots", "VRAM", "Leases", "Approvals"),
        *("Workers and Temporal", "Model servers"),
    ]


def test_grafana_finds_the_dashboard_and_prometheus() -> None:
    provisioning = DEPLOY / "grafana" / "provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())["datasources"]
    assert (source["type"], source["url"]) == ("prometheus", "http://prometheus:9090")
    (folder,) = yaml.safe_load((provisioning / "dashboards" / "aither.yml").read_text())["providers"]
    assert folder["options"]["path"] == "/var/lib/grafana-dashboards"
