"""What models are taken to have said: nothing lost, nothing invented, however they wrap it."""

import json

from hypothesis import given
from hypothesis import strategies as st

from workflows.policy.swarm_answers import read_citations, read_findings, read_plan, without_unknown
from workflows.policy.swarm_prompts import cut, fitted, tokens
from workflows.policy.swarm_room import MOST_AT_ONCE, packed, room

texts = st.text(min_size=1, max_size=60).filter(lambda text: text.strip() and "`" not in text)


@given(
    st.lists(texts, min_size=1, max_size=10), st.sampled_from(["{}", "```json\n{}\n```", "Sure!\n{}\nThere."])
)
def test_every_finding_of_the_json_is_read_however_it_is_wrapped(said: list[str], wrap: str) -> None:
    body = json.dumps({"findings": [{"text": text, "confidence": 0.7, "sources": ["s"]} for text in said]})
    found = read_findings(wrap.replace("{}", body))
    assert [finding.text for finding in found] == [text.strip() for text in said]


@given(st.text(max_size=200))
def test_an_answer_that_says_anything_is_a_finding(text: str) -> None:
    found = read_findings(text)
    assert bool(found) == bool(text.strip())
    assert all(0 <= finding.confidence <= 1 and finding.text for finding in found)


@given(st.text(max_size=300), st.integers(min_value=1, max_value=50))
def test_a_plan_has_tasks_or_a_mistake(text: str, wanted: int) -> None:
    for lenient in (False, True):
        plan = read_plan(text, wanted, lenient=lenient)
        assert bool(plan.tasks) != bool(plan.mistake)
        assert len(plan.tasks) <= wanted * 2


def test_what_is_whole_of_a_plan_that_was_cut_is_read_the_second_time() -> None:
    said = '{"tasks": [{"title": "A", "task": "Do A"}, {"title": "B", "task": "Do B"}, {"title": "C", "ta'
    assert read_plan(said, 3).mistake.startswith("the answer was cut off")
    assert [task.title for task in read_plan(said, 3, lenient=True).tasks] == ["A", "B"]


def test_tasks_that_differ_by_their_number_in_a_list_are_one() -> None:
    said = json.dumps({"tasks": [{"title": f"{n}. Oven", "task": f"{n}. Use an oven"} for n in (1, 2, 3)]})
    assert [task.text for task in read_plan(said, 3).tasks] == ["Use an oven"]


@given(st.lists(st.integers(min_value=0, max_value=30), max_size=8), st.integers(min_value=0, max_value=20))
def test_unknown_citations_are_named_and_can_be_taken_out(cited: list[int], findings: int) -> None:
    text = "It is so " + " ".join(f"[F{n}]" for n in cited) + "."
    read = read_citations(text, findings)
    assert set(read.known) == {n for n in cited if 1 <= n <= findings}
    assert set(read.unknown) == {f"F{n}" for n in cited if not 1 <= n <= findings}
    rest = read_citations(without_unknown(text, findings), findings)
    assert not rest.unknown and rest.known == read.known


@given(
    st.lists(st.integers(min_value=1, max_value=500), max_size=60), st.integers(min_value=1, max_value=1000)
)
def test_passes_read_everything_once_and_a_tree_of_them_has_a_root(sizes: list[int], window: int) -> None:
    counts = packed(sizes, window)
    assert sum(counts) == len(sizes)
    assert len(counts) < len(sizes) or len(sizes) <= 1


@given(st.lists(st.text(max_size=400), min_size=1, max_size=8), st.integers(min_value=8, max_value=100))
def test_items_are_cut_to_their_share_and_no_further(items: list[str], share: int) -> None:
    kept = fitted(items, share)
    assert len(kept) == len(items)
    assert sum(map(tokens, kept)) <= max(share, 8) * len(items) + len(items)
    if sum(map(tokens, items)) <= share * len(items):
        assert kept == items
    assert all(tokens(cut(item, share)) <= share for item in items)


@given(st.integers(0, 2000), st.integers(0, 2000), st.integers(0, 2000))
def test_a_swarm_gets_on_and_leaves_a_slot_free(slots: int, others: int, urgent: int) -> None:
    wide = room(slots, others, urgent)
    assert 1 <= wide <= MOST_AT_ONCE
    assert wide == 1 or wide + others + urgent < slots
