"""This process's circuit breakers: `workflows.policy.breaker` with a clock."""

import time
from collections.abc import Callable
from datetime import timedelta

from activities.contracts.policy import Barred, BreakerRules
from workflows.policy import breaker
from workflows.policy.breaker import Breaker, Let


class BreakerBoard:
    """Implements `activities.ports.Breakers`. Each worker process learns of failures for itself."""

    def __init__(self, rules: BreakerRules, clock: Callable[[], float] = time.monotonic) -> None:
        self._rules = rules
        self._clock = clock
        self._breakers: dict[str, Breaker] = {}

    def admit(self, backend: str) -> int | Barred:
        """See `Breakers`."""
        after, passage = breaker.admit(self._of(backend), self._rules, self._clock())
        self._breakers[backend] = after
        if isinstance(passage, Let):
            return passage.ticket
        return Barred(backend=backend, why=passage.why, retry_in_s=passage.retry_in_s)

    def report(
        self, backend: str, ticket: int, code: str | None, retry_after: timedelta | None = None
    ) -> None:
        """See `Breakers`."""
        self._breakers[backend] = breaker.report(
            self._of(backend),
            self._rules,
            self._clock(),
            ticket,
            code=code,
            retry_after_s=retry_after.total_seconds() if retry_after else None,
        )

    def abandon(self, backend: str, ticket: int) -> None:
        """See `Breakers`."""
        self._breakers[backend] = breaker.abandon(self._of(backend), self._clock(), ticket)

    def barred(self) -> tuple[Barred, ...]:
        """See `Breakers`."""
        now = self._clock()
        looked = ((name, breaker.look(each, self._rules, now)) for name, each in self._breakers.items())
        return tuple(
            Barred(backend=name, why=block.why, retry_in_s=block.retry_in_s)
            for name, block in looked
            if block is not None
        )

    def phase(self, backend: str) -> str:
        """See `Breakers`."""
        return self._of(backend).phase.value

    def _of(self, backend: str) -> Breaker:
        return self._breakers.get(backend) or Breaker()
