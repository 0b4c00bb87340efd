"""Model files: known, found in the right order for whoever asks, and no secret of the house handed out."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import boto3
import httpx2
import pytest
from botocore.config import Config
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from activities.contracts.boxes import ModelNeed
from activities.contracts.models import Asker, Hub, ModelAddress, ModelFile, ModelSource, PublicPlace, Tier
from activities.models import ModelActivities, SurveyAsk
from infra.models import signing
from infra.models.hubs import HubPlace, Hubs, NotPublished
from infra.models.resolver import Resolver
from infra.models.signing import S3Account
from tests.api.conftest import Api
from tests.api.stores import HOST
from tests.box.conftest import ACCESS, BUCKET, SECRET, Bucket, at_hugging_face, known
from tests.support.standin_mirror import Fault, Mirror, mirror
from workflows.policy import model_sources

CONTENT = b"GGUF" + bytes(996)
INSIDE, OUTSIDE = Asker(operator=True), Asker(external=True, reachable=(HOST,))


# --- the policy


def source(host: str, *headers: tuple[str, str], tier: Tier = Tier.PRIVATE) -> ModelSource:
    return ModelSource(tier=tier, url=f"https://{host}/x", host=host, headers=headers)


def test_who_is_outside_goes_to_the_publisher_first_and_who_is_inside_to_us() -> None:
    assert model_sources.order(Asker())[0] is Tier.PRIVATE
    assert model_sources.order(Asker(external=True))[0] is Tier.PUBLIC
    for external in (True, False):
        assert set(model_sources.order(Asker(external=external))) == set(Tier)


@pytest.mark.parametrize(
    "host",
    [
        *(
            "minio",
            "minio.lan",
            "MINIO.Local.",
            "localhost",
            "nas.home.arpa",
            "a.svc",
            "x.svc.cluster.local",
            "",
        ),
        *(
            "10.0.0.7",
            "127.0.0.1",
            "[::1]",
            "fd00::1",
            "169.254.169.254",
            "192.168.1.4",
            "100.64.0.9",
            "0.0.0.0",
        ),
    ],
)
def test_no_internal_name_goes_outside(host: str) -> None:
    assert model_sources.unreachable(Asker(external=True), source(host))
    assert not model_sources.unreachable(Asker(), source(host))
    assert not model_sources.unreachable(Asker(external=True, reachable=(host.lower(),)), source(host))


@pytest.mark.parametrize(
    "host", ["huggingface.co", "s3.eu-west-1.amazonaws.com", "8.8.8.8", "2606:4700::1111"]
)
def test_what_everybody_reaches_may_go_outside(host: str) -> None:
    assert not model_sources.unreachable(Asker(external=True), source(host))


def test_no_key_goes_outside() -> None:
    found = source("huggingface.co", ("Authorization", "Bearer hf_x"))
    assert "none leaves the house" in model_sources.unreachable(OUTSIDE, found)
    assert not model_sources.unreachable(INSIDE, found)


scopes = st.sampled_from(["shared", "acme", "other"])


@given(scope=scopes, tenant=st.sampled_from(["acme", "other", None]), operator=st.booleans())
@settings(max_examples=40)
def test_whose_files_are_whose(scope: str, tenant: str | None, operator: bool) -> None:
    asker = Asker(tenant_id=tenant, operator=operator)
    address = ModelAddress(scope=scope, dir="d", name="n")
    reads, writes = not model_sources.unreadable(asker, address), not model_sources.unwritable(asker, address)
    assert reads == (operator or scope in {"shared", tenant})
    assert writes == (operator or (scope == tenant and scope != "shared"))


@pytest.mark.parametrize(
    "uri", ["aither://models/shared/qwen3/w.gguf", "aither://models/acme/d-1/", "aither://models/a/b/c"]
)
def test_an_address_reads_as_it_is_written(uri: str) -> None:
    assert ModelAddress.read(uri).uri == uri


@given(st.text(max_size=40) | st.from_regex(r"aither://models/[a-z./ ]{0,20}", fullmatch=True))
@settings(max_examples=100)
def test_no_address_leads_out_of_its_folder(text: str) -> None:
    try:
        address = ModelAddress.read(text)
    except ValueError:
        return
    for part in (address.scope, address.dir, *([address.name] if address.name else [])):
        assert part.strip(".")
        assert "/" not in part


# --- the bucket


@given(
    key=st.text(
        st.characters(codec="utf-8", exclude_characters="\x00", exclude_categories=["Cs"]),
        min_size=1,
        max_size=30,
    ),
    host=st.sampled_from(["http://minio:9000", "https://s3.example.com", "http://h:80", "https://h:443"]),
)
@settings(max_examples=60, deadline=None)
def test_signatures_are_those_of_the_vendors_library(key: str, host: str) -> None:
    key = "/".join(part for part in key.split("/") if part not in {"", ".", ".."}) or "k"
    from botocore.auth import S3SigV4QueryAuth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    now = datetime.now(UTC).replace(microsecond=0)
    ours = signing.presigned(
        S3Account(access_key=ACCESS, secret_key=SECRET), host, BUCKET, key, lasts=timedelta(hours=1), now=now
    )
    bare = ours.partition("?")[0]
    theirs = AWSRequest("GET", bare)
    signer = S3SigV4QueryAuth(Credentials(ACCESS, SECRET), "s3", "us-east-1", expires=3600)
    signer_time = now.strftime("%Y%m%dT%H%M%SZ")
    theirs.context["timestamp"] = signer_time
    signer._modify_request_before_signing(theirs)
    canonical = signer.canonical_request(theirs)
    signature = signer.signature(signer.string_to_sign(theirs, canonical), theirs)
    assert ours.rpartition("=")[2] == signature


async def test_a_presigned_url_is_good_for_its_method_and_time_alone(bucket: Bucket) -> None:
    bucket.put("a/ö b.gguf", CONTENT)
    account = S3Account(access_key=ACCESS, secret_key=SECRET)
    now = datetime.now(UTC)
    url = signing.presigned(account, bucket.url, BUCKET, "a/ö b.gguf", lasts=timedelta(minutes=5), now=now)
    client = boto3.client(
        "s3",
        endpoint_url=bucket.url,
        aws_access_key_id=ACCESS,
        aws_secret_access_key=SECRET,
        region_name="us-east-1",
        config=Config(signature_version="s3v4", request_checksum_calculation="when_required"),
    )
    theirs = client.generate_presigned_url(
        "get_object", {"Bucket": BUCKET, "Key": "a/ö b.gguf"}, ExpiresIn=300
    )
    client.close()
    assert urlsplit(url).path == urlsplit(theirs).path
    async with httpx2.AsyncClient() as http:
        reply = await http.get(url, headers={"Range": "bytes=0-3"})
    assert (reply.status_code, reply.content) == (206, b"GGUF")


# --- the tiers together


async def test_each_tier_in_its_order_and_nothing_missing_is_silent(
    house: Api, bucket: Bucket, publisher: Mirror
) -> None:
    bucket.put("all/w.gguf", CONTENT)
    publisher.put("/acme/tiny/resolve/main/w.gguf", CONTENT)
    uri = await known(house, "all.gguf", CONTENT, object_key="all/w.gguf", public=at_hugging_face("w.gguf"))
    models = house.state.models
    place = models.strata.place(ModelAddress.read(uri))
    place.parent.mkdir(parents=True)
    place.write_bytes(CONTENT)
    for asker, first in ((INSIDE, Tier.PRIVATE), (OUTSIDE, Tier.PUBLIC)):
        (found,), missing = await models.resolver.resolve([(uri, True)], asker)
        assert (len(found.sources), found.sources[0].tier, missing) == (3, first, ())
    found, (missing_one,) = await models.resolver.resolve([(uri, True)], replace(OUTSIDE, reachable=()))
    assert (found, missing_one.uri) == ((), uri)


async def test_outside_and_only_internal_sources_is_missing_not_short(house: Api, bucket: Bucket) -> None:
    bucket.put("in/w.gguf", CONTENT)
    uri = await known(house, "inside.gguf", CONTENT, object_key="in/w.gguf")
    found, (missing,) = await house.state.models.resolver.resolve([(uri, True)], Asker(external=True))
    assert found == ()
    assert "means nothing outside" in missing.why


async def test_a_tier_that_thinks_too_long_or_breaks_is_skipped(house: Api) -> None:
    import asyncio

    class Slow:
        tier = Tier.STRATA

        async def source(self, file: ModelFile, asker: Asker) -> ModelSource | str:
            await asyncio.Event().wait()
            return ""

    class Broken:
        tier = Tier.PRIVATE

        async def source(self, file: ModelFile, asker: Asker) -> ModelSource | str:
            raise RuntimeError("secret-url")

    class Good:
        tier = Tier.PUBLIC

        async def source(self, file: ModelFile, asker: Asker) -> ModelSource | str:
            return source("huggingface.co", tier=Tier.PUBLIC)

    uri = await known(house, "slow.gguf", CONTENT)
    resolver = Resolver(house.state.models.rows, [Slow(), Broken(), Good()], model_sources, patience_s=0.05)
    (found,), _ = await resolver.resolve([(uri, True)], INSIDE)
    assert [each.tier for each in found.sources] == [Tier.PUBLIC]
    assert {each.tier: each.why.partition(" ")[0] for each in found.skipped} == {
        Tier.STRATA: "no",
        Tier.PRIVATE: "it",
    }


async def test_a_folder_is_all_its_files_and_optional_ones_stay_so(house: Api, bucket: Bucket) -> None:
    for name in ("a.gguf", "b.gguf"):
        bucket.put(f"set/{name}", CONTENT)
        await known(house, name, CONTENT, folder="set", object_key=f"set/{name}")
    activities = ModelActivities(house.state.models.resolver)
    needs = (
        ModelNeed(uri="aither://models/shared/set/"),
        ModelNeed(uri="aither://models/shared/set/a.gguf"),
        ModelNeed(uri="aither://models/shared/none/", required=False),
        ModelNeed(uri="aither://models/other/set/a.gguf"),
        ModelNeed(uri="http://elsewhere/w.gguf"),
    )
    survey = await activities.survey_models(SurveyAsk(needs=needs, asker=Asker(tenant_id="acme")))
    assert (survey.files, survey.total_bytes) == (2, 2000)
    assert [(each.uri, each.required) for each in survey.missing] == [
        ("aither://models/shared/none/", False),
        ("aither://models/other/set/a.gguf", True),
        ("http://elsewhere/w.gguf", True),
    ]
    assert len(survey.fails) == 2
    assert "X-Amz" not in repr(survey)


# --- the publishers


async def test_a_token_is_used_here_and_never_handed_out() -> None:
    """What is handed out is where the publisher sent us on to."""
    with mirror() as hub, mirror("127.0.0.2") as cdn:
        signed = cdn.put("/signed", CONTENT)
        hub.put("/acme/tiny/resolve/main/big.gguf", CONTENT, Fault(redirect=f"{signed}?sig=1", token="hf_x"))
        hub.put("/acme/tiny/resolve/main/config.json", b"{}", Fault(token="hf_x"))
        hub.put("/api/download/models/77", CONTENT, Fault(redirect=f"{signed}?sig=2"))
        async with aiohttp.ClientSession() as session:
            places = {
                Hub.HUGGING_FACE: HubPlace(url=hub.url, token="hf_x"),
                Hub.CIVITAI: HubPlace(url=hub.url, token="civ_x"),
            }
            hubs = Hubs(session, places)
            big = await hubs.source(published("big.gguf"), OUTSIDE)
            small = await hubs.source(published("config.json"), OUTSIDE)
            civitai = await hubs.source(
                replace(published(""), public=PublicPlace(hub=Hub.CIVITAI, repo="77", path="5")), OUTSIDE
            )
            gone = await hubs.source(published("gone.gguf"), OUTSIDE)
        assert isinstance(big, ModelSource)
        assert (big.url, big.headers, big.host) == (f"{signed}?sig=1", (), "127.0.0.2")
        assert isinstance(civitai, ModelSource)
        assert civitai.url == f"{signed}?sig=2"
        assert "hf_x" not in repr(small)
        assert isinstance(small, ModelSource)
        assert model_sources.unreachable(OUTSIDE, small)
        assert gone == "127.0.0.1 answers 404"
        assert cdn.seen == []
        assert hub.seen[-2][2] == "Bearer civ_x"


def published(path: str) -> ModelFile:
    address = ModelAddress(scope="shared", dir="d", name="n")
    return ModelFile(address=address, size_bytes=1000, sha256="0" * 64, public=at_hugging_face(path))


async def test_a_page_is_no_description() -> None:
    with mirror() as hub:
        hub.put("/acme/tiny/resolve/main/w.gguf", CONTENT, Fault(content_type="text/html"))
        async with aiohttp.ClientSession() as session:
            hubs = Hubs(session, {Hub.HUGGING_FACE: HubPlace(url=hub.url)})
            with pytest.raises(NotPublished, match="answers with a page"):
                await hubs.describe(at_hugging_face("w.gguf"))


# --- links to the directory


async def test_a_link_is_good_for_its_file_and_its_time(house: Api, tmp_path: Path) -> None:
    models = house.state.models
    uri = await known(house, "linked.gguf", CONTENT)
    file = tmp_path / "f"
    file.write_bytes(CONTENT)
    address = ModelAddress.read(uri)
    models.strata.put(address, file)
    (found,), _ = await models.resolver.resolve([(uri, True)], INSIDE)
    (link,) = [each.url for each in found.sources if each.tier is Tier.STRATA]
    async with httpx2.AsyncClient() as http:
        whole = await http.get(link)
        assert (whole.status_code, whole.content) == (200, CONTENT)
        part = await http.get(link, headers={"Range": "bytes=0-3", "If-Match": whole.headers["etag"]})
        assert (part.status_code, part.content) == (206, b"GGUF")
        changed = await http.get(link, headers={"Range": "bytes=0-3", "If-Match": '"other"'})
        assert changed.status_code == 412
        for bad in (
            link.replace("linked", "other"),
            link[:-1] + ("0" if link[-1] != "0" else "1"),
            link.partition("?")[0],
            link.replace("until=", "until=9"),
            link.replace("until=", "until=²"),
        ):
            assert (await http.get(bad)).status_code == 403, bad


async def test_a_link_ends() -> None:
    from infra.models.strata import Strata

    now = [1000.0]
    strata = Strata(Path("/nonexistent"), "http://h", b"m", clock=lambda: now[0])
    address = ModelAddress(scope="shared", dir="d", name="n")
    assert strata.good(address, "1100", strata._proof(address, 1100))
    now[0] = 1101
    assert not strata.good(address, "1100", strata._proof(address, 1100))


def test_secrets_of_sources_show_in_no_repr() -> None:
    told = repr(S3Account(access_key="a", secret_key="hidden")) + repr(HubPlace(url="u", token="hidden"))
    told += repr(source("h", ("Authorization", "hidden")))
    assert "hidden" not in told
    assert "https://h/x" not in told
    assert "hidden" not in repr(SecretStr("hidden"))
