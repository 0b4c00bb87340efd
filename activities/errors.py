"""The failure vocabulary, and its one translation to Temporal.

Adapters raise these and nothing else. Whether a failure is worth repeating is said here, once: a failure of
our own stores is retried by Temporal until it heals; a failure of a model backend is not, because what to do
about it (another rung, the same one later, give up) is the ladder's decision.
"""

from datetime import timedelta
from typing import ClassVar

from temporalio.exceptions import ApplicationError


class AitherError(Exception):
    """Base of the vocabulary. `code` is stable and machine-readable; the message is for a person."""

    code: ClassVar[str] = "internal"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, retry_after: timedelta | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after = retry_after


class StoreUnavailable(AitherError):
    """PostgreSQL (or another store of ours) cannot be reached; nothing was changed, or it is unknown."""

    code = "store_unavailable"
    retryable = True


class TurnNotFound(AitherError):
    """No such turn for this tenant."""

    code = "turn_not_found"


class Overtaken(AitherError):
    """Another attempt at the step was quicker, or the turn has ended: trying again finds what was recorded."""

    code = "overtaken"
    retryable = True


class ClaimLost(AitherError):
    """The claim on a task is not the newest, or the task is at its end: what the claim brings is not taken."""

    code = "claim_lost"


class TaskNotFound(AitherError):
    """No such task for this tenant."""

    code = "task_not_found"


class EmbedderMismatch(AitherError):
    """Memory was made with another embedder, whose vectors mean something else."""

    code = "embedder_mismatch"


class ApprovalNotFound(AitherError):
    """No such approval for this tenant."""

    code = "approval_not_found"


class ApprovalInvalid(AitherError):
    """What is asked cannot be asked so; the message names the field."""

    code = "approval_invalid"


class DeliveryFailed(AitherError):
    """The receiver of a webhook did not take it; it is sent again later."""

    code = "delivery_failed"
    retryable = True


class JobNotFound(AitherError):
    """No such job for this tenant."""

    code = "job_not_found"


class FindingsBehind(AitherError):
    """Memory does not hold yet what tasks say was found: looked at again, it will."""

    code = "findings_behind"
    retryable = True


class MoveFailed(AitherError):
    """A resident did not get onto its card, or off it, as it was to; the card decides what follows."""

    code = "move_failed"


class BackendError(AitherError):
    """A model backend failed; the ladder decides what follows."""

    code = "backend_error"


class BackendUnavailable(BackendError):
    """Refused, reset, 5xx, or a stream that ended without its end."""

    code = "backend_unavailable"


class BackendTimedOut(BackendError):
    """Silent for longer than the rung allows."""

    code = "backend_timed_out"


class BackendRateLimited(BackendError):
    """429. `retry_after` is the backend's own word, where it gave one."""

    code = "backend_rate_limited"


class BackendRefusedKey(BackendError):
    """401 or 403: the configured key is wrong or lacks a permission."""

    code = "backend_refused_key"


class BackendRejected(BackendError):
    """The request itself was refused (4xx); repeating it against the same model cannot help."""

    code = "backend_rejected"


class ModelMissing(BackendError):
    """The backend does not serve that model."""

    code = "model_missing"


class ModelReplaced(BackendError):
    """The backend answered with another model than the one it was asked for."""

    code = "model_replaced"


class ContextTooLong(BackendError):
    """The newest message alone does not fit into the model's window."""

    code = "context_too_long"


class AnswerEmpty(BackendError):
    """The backend said that it was done and gave nothing."""

    code = "answer_empty"


class AnswerMalformed(BackendError):
    """What came back is not what the protocol, or the requested format, promises."""

    code = "answer_malformed"


class LeaseNotFound(AitherError):
    """There is no such lease."""

    code = "lease_not_found"


class MarketError(AitherError):
    """The market that boxes are rented on failed; the lease decides what follows."""

    code = "market_error"


class OfferGone(MarketError):
    """Somebody else has the offer: nothing was rented, the next one may do."""

    code = "offer_gone"


class MarketUnknown(MarketError):
    """It may or may not have happened, or what was answered cannot be read. Never taken for "nothing there"."""

    code = "market_unknown"


class MarketRefused(MarketError):
    """The market refuses: a bad key, no credit, the request itself. Nothing was done, and trying again is no use."""

    code = "market_refused"


class MarketBusy(MarketError):
    """The market has us wait (`retry_after`, where it says for how long). Nothing was done."""

    code = "market_busy"


def to_application_error(error: AitherError) -> ApplicationError:
    """The error as Temporal sees it: its type is the code, and only our own stores' failures repeat."""
    return ApplicationError(
        error.message,
        type=error.code,
        non_retryable=not error.retryable,
        next_retry_delay=error.retry_after if error.retryable else None,
    )
