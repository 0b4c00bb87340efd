"""Shows one card on Telegram until it has been shown: for as long as that takes, and never at the approval's cost."""

from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy

from activities.contracts.telegram import CardRef, Shown
from workflows.names import SHOW_CARD, SHOW_TELEGRAM_CARD, TELEGRAM_CARD, Queue

SHOWING = timedelta(minutes=2)
PATIENT = RetryPolicy(
    initial_interval=timedelta(seconds=1), backoff_coefficient=2.0, maximum_interval=timedelta(minutes=2)
)
"""Telegram comes back; where it says when to ask again, that is when."""
LONG_HISTORY = 1_000


@workflow.defn(name=TELEGRAM_CARD)
class TelegramCardWorkflow:
    """One card under the id `telegram-card/<approval>/<chat>`, hence shown by one at a time.

    Told `show-card` while it shows, it shows once more: what is shown is always read anew. It ends when there is
    nothing to show, and may be terminated at any time: other news of the approval start it again.
    """

    @workflow.init
    def __init__(self, card: CardRef) -> None:
        self._again = True

    @workflow.signal(name=SHOW_CARD)
    def show_card(self) -> None:
        """The approval has changed."""
        self._again = True

    @workflow.run
    async def run(self, card: CardRef) -> Shown:
        """What came of showing it last."""
        shown = Shown.GONE
        while self._again:
            self._again = False
            shown = await workflow.execute_activity(
                SHOW_TELEGRAM_CARD,
                card,
                result_type=Shown,
                task_queue=Queue.TELEGRAM,
                start_to_close_timeout=SHOWING,
                retry_policy=PATIENT,
            )
            if self._again and workflow.info().get_current_history_length() > LONG_HISTORY:
                workflow.continue_as_new(card)
        return shown
