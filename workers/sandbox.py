"""The sandbox that every workflow runs in, and what it takes as it is."""

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


def workflow_runner() -> SandboxedWorkflowRunner:
    """The runner of every worker that runs workflows, and of every replay."""
    return ContextFreeRunner(restrictions=SandboxRestrictions.default.with_passthrough_modules(*PURE_MODULES))


class ContextFreeRunner(SandboxedWorkflowRunner):
    """A sandbox that is not asked to whom each payload belongs.

    Payloads are written the same for all (`infra.temporal`), and every such question compiles code: a tenth of what
    a worker does. A converter or codec that wants to know must ask again.
    """

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        """See `SandboxedWorkflowRunner`."""
        instance = super().create_instance(det)
        instance.get_serialization_context = _no_context
        return instance


def _no_context(command_info: object) -> None:
    return None
