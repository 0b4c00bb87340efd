"""What Aither takes beyond OpenAI, as `extra_body={"aither": {…}}`."""

from typing import Annotated

from msgspec import Meta
from msgspec.structs import asdict

from activities.contracts.policy import ApproveCloud, Bounds
from api.openai_compat.strict import Strict
from api.policies import MOST_NAMES, MOST_USD

Usd = Annotated[float, Meta(ge=0, le=MOST_USD)]
Names = Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=200)], ...], Meta(max_length=MOST_NAMES)]


class PolicyExtension(Strict, frozen=True, kw_only=True):
    """Bounds on the turn, as `policy` of `POST /v1/turns` has them; none that holds already is lifted."""

    local_only: bool | None = None
    max_usd: Usd | None = None
    max_usd_day: Usd | None = None
    max_usd_month: Usd | None = None
    allowed_models: Names | None = None
    allowed_backends: Names | None = None
    approve_cloud: ApproveCloud | bool | None = None
    approve_above_usd: Usd | None = None
    compose: bool | None = None

    def bounds(self) -> Bounds:
        """The same, as the policies take it."""
        return Bounds(**asdict(self))


class Extension(Strict, frozen=True, kw_only=True):
    """Aither's own parameters.

    `conversation_id` goes on with a conversation: then `messages` are the new ones only. `effort` is 1 to 10
    and wins over `reasoning_effort`; `priority` is 1 (most urgent) to 5; `agent` names who is to answer.
    """

    effort: Annotated[int, Meta(ge=1, le=10)] | None = None
    conversation_id: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    priority: Annotated[int, Meta(ge=1, le=5)] | None = None
    agent: Annotated[str, Meta(min_length=1, max_length=128)] | None = None
    policy: PolicyExtension | None = None
