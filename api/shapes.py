"""What the models of requests and of replies have in common."""

from typing import Any

from pydantic import BaseModel, ConfigDict

JsonObject = dict[str, Any]


class Taken(BaseModel):
    """A request's part: nothing but the fields named here, in the types that JSON has for them."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Given(BaseModel):
    """A reply's part."""

    model_config = ConfigDict(extra="forbid")
