"""The trace id of a turn or a job: the number that its own id spells."""

from infra.ids import number_of

_TRACE_BITS = (1 << 128) - 1
_SPAN_BITS = (1 << 64) - 1


def trace_number(key: str) -> int:
    """The trace of `turn_…` or `job_…`, as a number of 128 bits."""
    return number_of(key) & _TRACE_BITS or 1


def root_span_number(key: str) -> int:
    """The trace's first span, which is the request, or the start, that the turn or job came with."""
    return trace_number(key) & _SPAN_BITS or 1


def trace_id_of(key: str) -> str:
    """The trace id as it is written: 32 hexadecimal digits.

    Whoever sent a `traceparent` with the request finds the turn in the trace of that instead.
    """
    return f"{trace_number(key):032x}"
