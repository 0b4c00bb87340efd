"""Payloads that only we can read: what is sealed opens whole or not at all, and keys can be changed."""

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from temporalio.api.common.v1 import Payload
from temporalio.exceptions import ApplicationError

from infra.config.mistakes import ConfigError
from infra.settings import Settings
from infra.temporal import DATA_CONVERTER, data_converter
from infra.temporal.codec import KEY_ID, EncryptingCodec, PayloadKey, new_key, payload_keys
from infra.temporal.converter import PayloadSealed

SECRET = "the launch code is 0000"
OLD, NEW = new_key("old"), new_key("new")


def keys(*written: str) -> tuple[PayloadKey, ...]:
    return payload_keys(SecretStr(",".join(written)))


def codec(*written: str) -> EncryptingCodec:
    return EncryptingCodec(keys(*written))


PLAIN = Payload(metadata={"encoding": b"json/plain"}, data=SECRET.encode())


def _payload(metadata: dict[str, bytes], data: bytes) -> Payload:
    return Payload(metadata=metadata, data=data)


payloads = st.builds(
    _payload,
    st.dictionaries(st.text(max_size=12), st.binary(max_size=24), max_size=3).filter(
        lambda metadata: metadata.get("encoding") != b"binary/encrypted"
    ),
    st.binary(max_size=400),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(payloads, max_size=4))
async def test_what_is_sealed_opens_as_it_was(given: list[Payload]) -> None:
    both = codec(NEW, OLD)
    sealed = await both.encode(given)
    assert await both.decode(sealed) == given
    assert await codec(OLD, NEW).decode(sealed) == given
    for before, after in zip(given, sealed, strict=True):
        assert len(before.data) < 8 or before.data not in after.SerializeToString()
    assert len({each.data for each in sealed}) == len(sealed), "no two look alike"


@settings(max_examples=60, deadline=None)
@given(st.data())
async def test_what_was_changed_on_its_way_does_not_open(data: st.DataObject) -> None:
    (sealed,) = await codec(NEW).encode([PLAIN])
    place = data.draw(st.integers(0, len(sealed.data) - 1))
    changed = bytearray(sealed.data)
    changed[place] ^= data.draw(st.integers(1, 255))
    for wrong in (bytes(changed), sealed.data[:place]):
        with pytest.raises(PayloadSealed, match='does not open with key "new"'):
            await codec(NEW).decode([Payload(metadata=dict(sealed.metadata), data=wrong)])


async def test_a_key_that_is_missing_is_named_and_nothing_else_is_told() -> None:
    (sealed,) = await codec(OLD).encode([PLAIN])
    assert sealed.metadata[KEY_ID] == b"old"
    with pytest.raises(PayloadSealed) as caught:
        await codec(NEW).decode([sealed])
    assert str(caught.value) == (
        "a payload is encrypted with key 'old', and AITHER_PAYLOAD_KEYS has only \"new\" here"
    )
    imposter = f"old:{NEW.partition(':')[2]}"
    with pytest.raises(PayloadSealed, match="has another key under that id here") as caught:
        await codec(imposter).decode([sealed])
    assert caught.value.__cause__ is None
    with pytest.raises(PayloadSealed, match="AITHER_PAYLOAD_KEYS is not set here"):
        await DATA_CONVERTER.decode([sealed])


async def test_what_was_written_before_there_were_keys_stays_readable() -> None:
    assert await codec(NEW).decode([PLAIN]) == [PLAIN]


async def test_failures_are_sealed_with_their_words() -> None:
    from temporalio.api.failure.v1 import Failure

    sealing, failure = data_converter(Settings(payload_keys=SecretStr(NEW), config_file=None)), Failure()
    await sealing.encode_failure(ApplicationError(SECRET, SECRET, type="odd"), failure)
    assert SECRET.encode() not in failure.SerializeToString()
    assert failure.message == "Encoded failure"
    opened = await sealing.decode_failure(failure)
    assert isinstance(opened, ApplicationError)
    assert (opened.message, opened.type, opened.details) == (SECRET, "odd", (SECRET,))


def test_without_keys_nothing_is_different() -> None:
    assert data_converter(Settings(config_file=None)) is DATA_CONVERTER
    assert data_converter(Settings(payload_keys=SecretStr(" "), config_file=None)) is DATA_CONVERTER


SHORT = base64.b64encode(b"too short").decode()


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("hunter2", "entry 1 is not `id:key`; `aither temporal key` makes one"),
        (f"{OLD},", "entry 2 is not `id:key`; `aither temporal key` makes one"),
        (f"a b:{SHORT}", "entry 1 is not `id:key`; `aither temporal key` makes one"),
        ("k1:hunter2!", 'key "k1" is not base64; `aither temporal key` makes one'),
        (f"k1:{SHORT}", 'key "k1" has 9 bytes, and 32 are needed'),
        (f"{OLD},{OLD}", 'there are two keys "old"; give the new one another id'),
    ],
    ids=["no id", "an end too many", "an odd id", "no base64", "short", "twice"],
)
def test_keys_that_are_none_are_refused_and_never_quoted(written: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        payload_keys(SecretStr(written))
    assert str(caught.value) == f"AITHER_PAYLOAD_KEYS: {told}"


def test_a_key_does_not_show_itself() -> None:
    assert "secret" not in repr(keys(NEW)[0])
    assert keys(NEW)[0].secret not in repr(keys(NEW)[0]).encode()
