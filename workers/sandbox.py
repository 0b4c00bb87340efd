"""The sandbox that every workflow runs in, and what it takes as it is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from temporalio.bridge.proto.workflow_activation import WorkflowActivation
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.common import VersioningBehavior
from temporalio.worker import WorkflowInstance, WorkflowInstanceDetails
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

PURE_MODULES = (
    "activities",
    "workflows.policy",
    "workflows.names",
    "workflows.attributes",
    "infra.temporal",
    "msgspec",
)
"""Modules without state or side effects: importing them anew for every workflow doubles a turn's cost."""


def workflow_runner(behaviours: Mapping[str, VersioningBehavior] | None = None) -> SandboxedWorkflowRunner:
    """The runner of every worker that runs workflows, and of every replay.

    `behaviours` says of workflows, by type, how they are versioned where that is not the worker's own way; only a
    versioned worker may say it. A definition that says it itself is refused by unversioned workers.
    """
    return ContextFreeRunner(
        restrictions=SandboxRestrictions.default.with_passthrough_modules(*PURE_MODULES),
        behaviours=behaviours or {},
    )


@dataclass(frozen=True)
class ContextFreeRunner(SandboxedWorkflowRunner):
    """A sandbox that is not asked to whom each payload belongs.

    Payloads are written the same for all (`infra.temporal`), and every such question compiles code: a tenth of what
    a worker does. A converter or codec that wants to know must ask again.
    """

    behaviours: Mapping[str, VersioningBehavior] = field(default_factory=dict[str, VersioningBehavior])

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        """See `SandboxedWorkflowRunner`."""
        instance = super().create_instance(det)
        instance.get_serialization_context = _no_context
        if behaviour := self.behaviours.get(det.info.workflow_type):
            instance.activate = _versioned(instance.activate, behaviour)
        return instance


def _no_context(command_info: object) -> None:
    return None


class Activate(Protocol):
    """Has a workflow take in what happened."""

    def __call__(self, act: WorkflowActivation) -> WorkflowActivationCompletion:
        """What it commands."""
        ...


def _versioned(activate: Activate, behaviour: VersioningBehavior) -> Activate:
    def activated(act: WorkflowActivation) -> WorkflowActivationCompletion:
        completion = activate(act)
        if completion.HasField("successful"):
            completion.successful.versioning_behavior = behaviour.value
        return completion

    return activated
