"""Presigned URLs of S3's kind (AWS Signature Version 4, query form), which MinIO understands too.

docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html. Written here rather than taken from a client
library of 30 MB: one canonical string and five HMACs are all that handing out a URL takes.
"""

import hashlib
import hmac
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, urlsplit

LONGEST = timedelta(days=7)
"""What S3 allows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Account:
    """Whose signature it is."""

    access_key: str
    secret_key: str = field(repr=False)
    region: str = "us-east-1"


def presigned(
    account: S3Account,
    endpoint: str,
    bucket: str,
    key: str,
    *,
    method: str = "GET",
    lasts: timedelta,
    now: datetime,
) -> str:
    """A URL that anybody may use for `lasts`. It binds method and host: sign with the endpoint that is used.

    The bucket is in the path, as MinIO and addresses without a wildcard name want it.
    """
    place = urlsplit(endpoint)
    at = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    scope = f"{at[:8]}/{account.region}/s3/aws4_request"
    path = f"{place.path.rstrip('/')}/{quote(bucket, safe='')}/{quote(key, safe='/~')}"
    said = {
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Credential": f"{account.access_key}/{scope}",
        "X-Amz-Date": at,
        "X-Amz-Expires": str(int(min(lasts, LONGEST).total_seconds())),
        "X-Amz-SignedHeaders": "host",
    }
    query = "&".join(
        f"{quote(name, safe='')}={quote(value, safe='~')}" for name, value in sorted(said.items())
    )
    request = "\n".join(
        (method, path, query, f"host:{_host(place.scheme, place.netloc)}\n", "host", "UNSIGNED-PAYLOAD")
    )
    digest = hashlib.sha256(request.encode()).hexdigest()
    key_now = f"AWS4{account.secret_key}".encode()
    for part in scope.split("/"):
        key_now = hmac.digest(key_now, part.encode(), "sha256")
    signature = hmac.digest(key_now, f"AWS4-HMAC-SHA256\n{at}\n{scope}\n{digest}".encode(), "sha256").hex()
    return f"{place.scheme}://{place.netloc}{path}?{query}&X-Amz-Signature={signature}"


def _host(scheme: str, netloc: str) -> str:
    """The host as clients send it: without the port that goes without saying."""
    usual = {"http": ":80", "https": ":443"}.get(scheme, "")
    return netloc.removesuffix(usual) if usual else netloc
