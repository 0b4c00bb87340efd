"""Counts what a worker's activities and workflows come to, between them and Temporal's SDK."""

import asyncio
import time
from typing import Any

import temporalio.worker
from temporalio import activity, workflow
from temporalio.common import SearchAttributeKey
from temporalio.exceptions import ApplicationError, is_cancelled_exception
from temporalio.plugin import SimplePlugin

from activities.contracts.turn import ChatResult, ChatStep, TurnInput, TurnOutcome
from infra.telemetry.figures import Figures

EFFORT = SearchAttributeKey.for_int("AitherEffort")
"""`workflows.attributes.EFFORT`: where a router's estimate of a turn's effort stands."""


class CountingPlugin(SimplePlugin):
    """Counts, in every worker over the connection that takes it along."""

    def __init__(self, figures: Figures) -> None:
        super().__init__(  # pyright: ignore[reportUnknownMemberType]
            "aither.counting", interceptors=[Counting(figures)]
        )


class Counting(temporalio.worker.Interceptor):
    """See `CountingPlugin`."""

    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def intercept_activity(
        self, next: temporalio.worker.ActivityInboundInterceptor
    ) -> temporalio.worker.ActivityInboundInterceptor:
        """See `temporalio.worker.Interceptor`."""
        return _CountingActivity(next, self._figures)

    def workflow_interceptor_class(
        self, input: temporalio.worker.WorkflowInterceptorClassInput
    ) -> type[temporalio.worker.WorkflowInboundInterceptor]:
        """See `temporalio.worker.Interceptor`."""

        class WithTheseFigures(_CountingWorkflow):
            figures = self._figures

        return WithTheseFigures


class _CountingActivity(temporalio.worker.ActivityInboundInterceptor):
    def __init__(self, next: temporalio.worker.ActivityInboundInterceptor, figures: Figures) -> None:
        super().__init__(next)
        self._figures = figures

    async def execute_activity(self, input: temporalio.worker.ExecuteActivityInput) -> Any:
        name = activity.info().activity_type
        try:
            result = await super().execute_activity(input)
        except BaseException as error:
            outcome = "cancelled" if _cancelled(error) else "failed"
            self._figures.took_activity(name, outcome, None, time.time())
            raise
        self._figures.took_activity(name, "completed", result, time.time())
        step: object = input.args[0] if input.args else None
        if isinstance(step, ChatStep) and isinstance(result, ChatResult):
            self._figures.took_hop(step, result)
        return result


class _CountingWorkflow(temporalio.worker.WorkflowInboundInterceptor):
    figures: Figures

    async def execute_workflow(self, input: temporalio.worker.ExecuteWorkflowInput) -> Any:
        turn: object = input.args[0] if input.args else None
        if not isinstance(turn, TurnInput):
            return await super().execute_workflow(input)
        try:
            outcome = await super().execute_workflow(input)
        except (asyncio.CancelledError, ApplicationError) as error:
            self._ended(turn, "cancelled" if _cancelled(error) else "failed")
            raise
        if isinstance(outcome, TurnOutcome):
            self._ended(turn, outcome.status.value)
        return outcome

    def _ended(self, turn: TurnInput, outcome: str) -> None:
        # A replay, or a workflow that is put out of the cache, ends nothing.
        if workflow.unsafe.is_replaying():
            return
        effort = workflow.info().typed_search_attributes.get(EFFORT)
        lasted = workflow.now() - workflow.info().start_time
        self.figures.took_turn(outcome, effort if effort is not None else turn.plan.effort, lasted)


def _cancelled(error: BaseException) -> bool:
    return isinstance(error, asyncio.CancelledError) or is_cancelled_exception(error)
