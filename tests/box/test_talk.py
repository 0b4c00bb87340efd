"""The box's side of the talk: it obeys nobody who cannot prove to be us, and a lost word locks it out of nothing."""

import asyncio
from typing import Any

import pytest

from infra.box import proof
from infra.box.agent.talk import Carried, Direct, Key, Message, Refused, Session, Silent
from tests.box.conftest import MASTER, Lease


class Lying:
    """A way on which somebody else answers."""

    host = "h"

    def __init__(self, *answers: tuple[int, dict[str, str], bytes]) -> None:
        self.answers, self.sent = list(answers), list[Message]()

    def send(self, message: Message) -> Any:
        self.sent.append(message)
        return self.answers.pop(0)


CHALLENGE = (200, {}, b'{"nonce": "ab"}')
EVIL = b'{"command": ["rm", "-rf", "/"], "port": 1}'


@pytest.mark.parametrize("headers", [{}, {proof.PROOF.lower(): "0" * 64}])
def test_the_box_obeys_nobody_who_cannot_prove_to_be_us(tmp_path: Any, headers: dict[str, str]) -> None:
    way: Any = Lying(CHALLENGE, (200, headers, EVIL))
    session = Session(way, "lease_1", Key(proof.LEASE, 1, 0, b"k"), tmp_path / "session.json")
    with pytest.raises(Silent):
        session.join({})


def test_a_reply_of_another_request_is_no_reply(tmp_path: Any) -> None:
    """What we signed for one request is not good for the next: it is bound to the box's own nonce."""
    first = Key(proof.LEASE, 1, 0, b"k")
    signed = proof.sign_reply(proof.session_key(b"k", b"ab" + b"0" * 64), first.name, "0" * 64, 200, EVIL)
    way: Any = Lying(CHALLENGE, (200, {proof.PROOF.lower(): signed}, EVIL))
    with pytest.raises(Silent):
        Session(way, "lease_1", first, tmp_path / "session.json").join({})


async def test_a_reply_that_is_lost_locks_nobody_out(lease: Lease, tmp_path: Any) -> None:
    """We took the join in, and the box never heard of it: it comes again with the key that it must have by now."""
    session, way = losing(lease, tmp_path, lose=1)
    first_answers = await asyncio.to_thread(joined, session)
    assert first_answers is None
    assert (await lease.view()).joins == 1
    assert (await asyncio.to_thread(joined, session) or {})["port"] == lease.plan.port
    assert (await lease.view()).joins == 2
    assert (await asyncio.to_thread(session.say, "heartbeat", {"phase": "joined"}))["wish"] == "serve"
    # And a reboot after that finds it in its file, for nobody else to read.
    again, _ = losing(lease, tmp_path, lose=0)
    assert await asyncio.to_thread(joined, again) is not None
    assert (tmp_path / "session.json").stat().st_mode & 0o777 == 0o600
    assert way.lost == 1


async def test_a_join_that_never_arrived_is_tried_with_the_first_key(lease: Lease, tmp_path: Any) -> None:
    session, way = losing(lease, tmp_path, lose=2, before=True)
    assert await asyncio.to_thread(joined, session) is None
    assert await asyncio.to_thread(joined, session) is None
    assert (await lease.view()).joins == 0
    assert await asyncio.to_thread(joined, session) is not None
    assert way.lost == 2


class Losing:
    """A way on which requests for a join, or the replies to them, are lost."""

    def __init__(self, url: str, lose: int, before: bool) -> None:
        self.direct = Direct(url)
        self.host, self.left, self.before, self.lost = self.direct.host, lose, before, 0

    def send(self, message: Message) -> Any:
        losing = self.left > 0 and message.path.endswith("/join")
        answer = None if losing and self.before else self.direct.send(message)
        if losing and not (answer and answer[0] == 403):
            self.left, self.lost = self.left - 1, self.lost + 1
            raise Silent("lost")
        return answer


def losing(lease: Lease, folder: Any, *, lose: int, before: bool = False) -> tuple[Session, Losing]:
    way: Any = Losing(lease.api.url, lose, before)
    key = proof.lease_key(MASTER.encode(), lease.id, lease.attempt)
    return Session(way, lease.id, Key(proof.LEASE, 1, 0, key), folder / "session.json"), way


def joined(session: Session) -> dict[str, Any] | None:
    try:
        return session.join({"instance": None})
    except (Silent, Refused):
        return None


def test_an_outbox_that_nobody_empties_is_silence() -> None:
    with pytest.raises(Silent):
        Carried(0.01).send(Message("POST", "/p", "carried", {}, b"{}"))
