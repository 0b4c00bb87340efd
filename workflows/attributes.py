"""Search attributes: what a person looks turns up by in Temporal's UI."""

from temporalio.common import SearchAttributeKey

TENANT = SearchAttributeKey.for_keyword("AitherTenant")
STATUS = SearchAttributeKey.for_keyword("AitherStatus")
EFFORT = SearchAttributeKey.for_int("AitherEffort")
RUNG = SearchAttributeKey.for_keyword("AitherRung")
MODEL = SearchAttributeKey.for_keyword("AitherModel")
