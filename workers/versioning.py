"""As what a worker is known to Temporal: of no version, or as one build of a worker deployment."""

from dataclasses import dataclass
from typing import TypedDict

from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.worker import WorkerDeploymentConfig
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

from infra.build import build_id
from infra.settings import Settings
from workers.sandbox import workflow_runner
from workflows.names import APPROVAL, BURST_LEASE, GPU_CARD, SWARM, TELEGRAM_CARD

GOES_ALONG = {
    GPU_CARD: "never ends",
    APPROVAL: "waits for people, a year if need be",
    TELEGRAM_CARD: "lives as long as its approval",
    BURST_LEASE: "lives as long as its box, for days",
    SWARM: "lives for hours or days; its workers and turns are short",
}
"""Workflows that go on with a newer build as soon as there is one, and why: they would keep the old build's workers up.

A change to one of these needs `workflow.patched`, which the replays of committed histories see to. All others end
with the build that they began on, and may change freely.
"""


class VersionOptions(TypedDict, total=False):
    """What `temporalio.worker.Worker` takes: one of them."""

    build_id: str
    deployment_config: WorkerDeploymentConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Versioning:
    """A build, of a deployment if there is one.

    A workflow stays with the build that it began on, unless it is one that goes along. What runs on a workflow's own
    queue is of its build; the calls of pools, memory, Telegram and card hosts are everybody's: their slots, their
    Qdrant and their cards are one process's at a time, whichever its build. So their contracts only ever grow.
    """

    build: str
    deployment: str | None = None

    @classmethod
    def of(cls, settings: Settings) -> "Versioning":
        """As the settings say; without a deployment, workers of all builds do all work."""
        return cls(build=settings.build_id or build_id(), deployment=settings.temporal_deployment or None)

    @property
    def options(self) -> VersionOptions:
        """For a worker that runs workflows, and what is called beside them."""
        if self.deployment is None:
            return self.shared
        version = WorkerDeploymentVersion(deployment_name=self.deployment, build_id=self.build)
        return VersionOptions(
            deployment_config=WorkerDeploymentConfig(
                version=version,
                use_worker_versioning=True,
                default_versioning_behavior=VersioningBehavior.PINNED,
            )
        )

    @property
    def shared(self) -> VersionOptions:
        """For a worker that runs calls only: it serves the workflows of every build."""
        return VersionOptions(build_id=self.build)

    def runner(self) -> SandboxedWorkflowRunner:
        """For a worker that runs workflows."""
        if self.deployment is None:
            return workflow_runner()
        return workflow_runner(dict.fromkeys(GOES_ALONG, VersioningBehavior.AUTO_UPGRADE))
