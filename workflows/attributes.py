"""Search attributes: what a person looks turns up by in Temporal's UI."""

from temporalio.common import SearchAttributeKey

from activities.contracts import traces

TENANT = SearchAttributeKey.for_keyword(traces.TENANT)
STATUS = SearchAttributeKey.for_keyword(traces.STATUS)
EFFORT = SearchAttributeKey.for_int(traces.EFFORT)
RUNG = SearchAttributeKey.for_keyword(traces.RUNG)
MODEL = SearchAttributeKey.for_keyword(traces.MODEL)
