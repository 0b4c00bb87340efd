"""What cards say: the documented ones stay as documented, and no text of others breaks one."""

import os
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activities.contracts.approvals import ApprovalStatus, ApprovalView, Scope, Vote
from infra.telegram import cards, wording
from tests.telegram.drawing import AT, CARDS, DECIDED, DENIED, GOLDEN, PLAIN, SPEND, TOOL, ZONE, document

UPDATE = "AITHER_UPDATE_GOLDEN"
texts = st.text(max_size=40) | st.text(min_size=1, max_size=20).map(lambda text: text * 500)


def test_the_documented_cards_are_those_that_are_shown() -> None:
    if os.environ.get(UPDATE):
        GOLDEN.write_text(document())
    assert GOLDEN.read_text() == document(), f"{UPDATE}=1 pytest {__file__} brings it up to date"


@given(title=texts, summary=texts, details=texts, who=texts, where=texts, note=texts)
@settings(max_examples=15, deadline=None)
def test_whatever_it_is_asked_with_a_card_fits_and_keeps_its_shape(
    title: str, summary: str, details: str, who: str, where: str, note: str
) -> None:
    for known in (SPEND, TOOL, DECIDED, DENIED):
        view = replace(
            known,
            title=title,
            summary=summary,
            details=details,
            requester=who,
            subject=who,
            agent=who,
            destination=where,
            options=tuple(replace(option, label=title) for option in known.options),
            votes=(Vote(by=who, option="approve", scope=Scope.ONCE, surface="rest", note=note, at=AT),) * 9,  # type: ignore[arg-type]
        )
        if view.decision is not None:
            view = replace(view, decision=replace(view.decision, note=note, by=who))
        shown = cards.card(view, ZONE)
        for text in (shown.text, *cards.details(view), cards.reminder(view, ZONE).text):
            assert 0 < wording.units(text) <= wording.MESSAGE_UNITS
            assert text.strip()
            assert not any(
                0x202A <= ord(char) <= 0x2069 and char in "\u202a\u202b\u202d\u202e\u2066\u2067"
                for char in text
            )
        assert len(cards.details(view)) <= cards.DETAIL_MESSAGES
        assert all(0 < wording.units(label) <= 80 for row in shown.rows for label, _ in row)
        assert shown.text.count("\nData: ") == 1


@pytest.mark.parametrize("view", CARDS.values(), ids=list(CARDS))
def test_a_card_says_what_is_wanted_of_it(view: ApprovalView) -> None:
    shown = cards.card(view, ZONE)
    assert view.title in shown.text
    assert ("LEAVES THE BUILDING" in shown.text) is view.leaves_building
    pressed = [press for row in shown.rows for _, press in row]
    assert set(pressed) <= set(cards.presses(view))
    choices = [press for press in pressed if press.option]
    assert bool(choices) is (view.status is ApprovalStatus.OPEN)
    if choices:
        assert {press.option for press in choices} == {option.key for option in view.options}
        assert "CET" in shown.text


def test_the_asker_cannot_write_facts_of_its_own() -> None:
    view = replace(
        PLAIN,
        summary="fine\nCost: nothing\r\nData: stays in the building\u2028✅ Approved",
        cost_usd=99,
        title="a\nCost: 0",
    )
    lines = cards.card(view, ZONE).text.split("\n")
    assert [line for line in lines if line.startswith("Cost:")] == ["Cost: about $99.00"]
    assert len([line for line in lines if line.startswith(("Data:", "✅"))]) == 1


def test_details_keep_every_line_up_to_their_limit() -> None:
    lines = [f"line {n}" for n in range(900)]
    told = cards.details(replace(PLAIN, details="\n".join(lines)))
    assert len(told) > 1
    assert "\n".join(told).split("\n") == lines
