"""What Temporal, or the way there, says no with: in one line, with what to do about it."""

import re

from temporalio.service import RPCError, RPCStatusCode

from infra.temporal.access import Access

_TOLD = (
    (
        "UnknownIssuer",
        "its certificate is not of the CA in AITHER_TEMPORAL_TLS_CA, or of one that the system knows",
    ),
    (
        "CaUsedAsEndEntity",
        "its certificate is a CA's own: what AITHER_TEMPORAL_TLS_CA is to name is who signed it",
    ),
    ("NotValidForName", "its certificate is for another name: AITHER_TEMPORAL_TLS_SERVER_NAME says which"),
    ("Expired", "its certificate has run out"),
    (
        r"CertificateRequired|certificate required",
        "it asks for a certificate: AITHER_TEMPORAL_TLS_CERT and AITHER_TEMPORAL_TLS_KEY",
    ),
    (
        r"UnknownCA|BadCertificate|CertificateUnknown|AccessDenied|DecryptError",
        "it does not take our certificate: AITHER_TEMPORAL_TLS_CERT is not of a CA that it trusts",
    ),
    (r"InvalidContentType|corrupt message|InvalidMessage", "it does not speak TLS"),
    (r"HTTP/2 was not negotiated", "what answers there speaks TLS, but not HTTP/2: it is not Temporal"),
    (r"Connection refused", "nothing answers there"),
    (r"dns error|failed to lookup", "its host name is not known"),
    (r"deadline|timed out|Timeout", "nothing answers there in time"),
)
_CLOSED = re.compile(
    r"FRAME_SIZE_ERROR|frame with invalid size|http2 error|[Bb]roken ?pipe|[Cc]onnection ?[Rr]eset|connection closed"
    r"|closed connection|UnexpectedEof"
)


def why_not(error: Exception, access: Access) -> str:
    """Why Temporal could not be asked, or would not."""
    target, text = access.target, str(error)
    if isinstance(error, RPCError) and error.status in {
        RPCStatusCode.UNAUTHENTICATED,
        RPCStatusCode.PERMISSION_DENIED,
    }:
        return f"Temporal at {target} does not let us in: {_line(error.message)}"
    for pattern, told in _TOLD:
        if re.search(pattern, text):
            return f"Temporal at {target} cannot be reached: {told}"
    if _CLOSED.search(text):
        return f"Temporal at {target} cannot be reached: it closed the connection; {_perhaps(access)}"
    if isinstance(error, RPCError):
        return f"Temporal at {target} refused: {_line(error.message)}"
    return f"Temporal at {target} cannot be reached: {_line(text)}"


def _perhaps(access: Access) -> str:
    """Why a server hangs up that has not said why: what it says may be lost on its way."""
    if not access.tls:
        return "it may want TLS (AITHER_TEMPORAL_TLS)"
    if access.mutual:
        return "it may not take our certificate (AITHER_TEMPORAL_TLS_CERT)"
    return "it may want a certificate (AITHER_TEMPORAL_TLS_CERT and AITHER_TEMPORAL_TLS_KEY)"


def _line(text: str) -> str:
    return " ".join(text.split())[:300]
