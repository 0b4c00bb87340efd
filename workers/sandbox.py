"""The sandbox that every workflow runs in, and what it takes as it is."""

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
    return SandboxedWorkflowRunner(
        restrictions=SandboxRestrictions.default.with_passthrough_modules(*PURE_MODULES)
    )
