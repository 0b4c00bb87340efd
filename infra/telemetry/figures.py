"""What a worker process counts: turns, hops, tokens, dollars, waits, sweeps, swarms, webhooks.

Each process counts since it started; Prometheus adds them up. Labels name what is configured, never a turn, a job or
a tenant, so that there are as many series as there are rungs and backends, however many people ask.
"""

from datetime import timedelta

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from activities.contracts.bursting import Reaped
from activities.contracts.jobs import PlanTaken, TaskTaken, WorkClosed
from activities.contracts.turn import ChatResult, ChatStep

WAITS_S = (0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900)
RUNS_S = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 60, 120, 300, 600, 1800)
MOMENTS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Figures:
    """The counters of one process, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._turns(self.registry)
        self._beside(self.registry)

    def _turns(self, registry: CollectorRegistry) -> None:
        self.turns = Counter(
            "aither_turns",
            "Turns that ended, by how, and by the effort that they were given.",
            ["outcome", "effort"],
            registry=registry,
        )
        self.turn_seconds = Histogram(
            "aither_turn_seconds",
            "From the start of a turn's workflow to its end.",
            ["outcome"],
            buckets=RUNS_S,
            registry=registry,
        )
        self.hops = Counter(
            "aither_hops",
            "Calls of models, by rung, backend and outcome.",
            ["rung", "backend", "outcome"],
            registry=registry,
        )
        self.refusals = Counter(
            "aither_hop_errors",
            "Calls that came to nothing, by the code of what went wrong.",
            ["backend", "code"],
            registry=registry,
        )
        self.tokens = Counter(
            "aither_tokens",
            "Tokens, by backend: prompt (cached ones among them), cached, completion, reasoning.",
            ["backend", "kind"],
            registry=registry,
        )
        self.dollars = Counter(
            "aither_spend_usd", "What calls have cost, in US dollars.", ["backend"], registry=registry
        )
        self.queued = Histogram(
            "aither_hop_wait_seconds",
            "How long calls waited in their pool's queue.",
            ["pool"],
            buckets=WAITS_S,
            registry=registry,
        )
        self.first_token = Histogram(
            "aither_first_token_seconds",
            "From the beginning of a call to its first token.",
            ["backend"],
            buckets=MOMENTS_S,
            registry=registry,
        )
        self.ran = Histogram(
            "aither_hop_seconds", "How long calls took.", ["backend"], buckets=RUNS_S, registry=registry
        )

    def _beside(self, registry: CollectorRegistry) -> None:
        self.activities = Counter(
            "aither_activities",
            "Attempts at activities, by how they ended.",
            ["activity", "outcome"],
            registry=registry,
        )
        self.sweeps = Counter("aither_sweeps", "Sweeps that ran to their end.", ["sweep"], registry=registry)
        self.repairs = Counter(
            "aither_sweep_repairs", "What sweeps started or ended.", ["sweep"], registry=registry
        )
        self.swept_at = Gauge(
            "aither_sweep_last_timestamp_seconds", "When a sweep last ended.", ["sweep"], registry=registry
        )
        self.tasks = Counter(
            "aither_swarm_tasks",
            "Tasks of swarms: planned, claimed, and done when their job's work was closed.",
            ["event"],
            registry=registry,
        )
        self.strays = Counter(
            "aither_stray_boxes",
            "Rented boxes that no lease knew, by what became of them: destroyed, or left.",
            ["fate"],
            registry=registry,
        )
        self.unknown_lists = Counter(
            "aither_market_lists_unknown",
            "Looks of the reaper at a list that it could not rely on.",
            registry=registry,
        )

    def took_turn(self, outcome: str, effort: int, lasted: timedelta) -> None:
        """A turn's workflow has closed."""
        self.turns.labels(outcome, str(effort)).inc()
        self.turn_seconds.labels(outcome).observe(lasted.total_seconds())

    def took_hop(self, step: ChatStep, result: ChatResult) -> None:
        """A chat activity has its result."""
        hop = result.hop
        self.hops.labels(hop.rung, hop.backend, hop.outcome.value).inc()
        if result.error is not None:
            self.refusals.labels(hop.backend, result.error.code).inc()
        self.queued.labels(hop.pool).observe(hop.waited_ms / 1000)
        if hop.first_token_ms is not None:
            self.first_token.labels(hop.backend).observe(hop.first_token_ms / 1000)
        if hop.ran_ms:
            self.ran.labels(hop.backend).observe(hop.ran_ms / 1000)
        self.dollars.labels(hop.backend).inc(hop.cost_usd)
        for kind, count in (
            ("prompt", hop.prompt_tokens),
            ("cached", hop.cached_tokens),
            ("completion", hop.completion_tokens),
            ("reasoning", hop.reasoning_tokens),
        ):
            if count:
                self.tokens.labels(hop.backend, kind).inc(count)

    def took_activity(self, name: str, outcome: str, result: object, now_s: float) -> None:
        """Any activity's attempt has ended."""
        self.activities.labels(name, outcome).inc()
        if outcome != "completed":
            return
        if name.startswith("sweep-") and isinstance(result, int):
            self._swept(name, result, now_s)
        match result:
            case Reaped():
                self._swept(name, len(result.destroyed), now_s)
                self.strays.labels("destroyed").inc(len(result.destroyed))
                self.strays.labels("left").inc(len(result.left))
                self.unknown_lists.inc(bool(result.unknown))
            case PlanTaken(tasks=tasks):
                self.tasks.labels("planned").inc(tasks)
            case TaskTaken(claim=claim) if claim is not None:
                self.tasks.labels("claimed").inc()
            case WorkClosed(done=done):
                self.tasks.labels("done").inc(done)
            case _:
                pass

    def _swept(self, sweep: str, repaired: int, now_s: float) -> None:
        self.sweeps.labels(sweep).inc()
        self.repairs.labels(sweep).inc(repaired)
        self.swept_at.labels(sweep).set(now_s)
