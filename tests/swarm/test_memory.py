"""Graph memory: what is found is found again, by its own tenant, whole, and by one embedder's measure."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from activities.contracts.swarm import Edge, EdgeKind, Finding
from activities.errors import EmbedderMismatch
from infra.qdrant.bounds import CUT, TEXT_BYTES, fit
from tests.swarm.storing import Place, WordEmbedder
from workflows.policy import claims

AT = datetime(2026, 1, 1, tzinfo=UTC)


def finding(place: Place, number: int, text: str, **other: object) -> Finding:
    made = Finding(
        id=claims.finding_id("task", 1, number),
        tenant_id=place.tenant,
        goal_id=place.goal,
        task_id="task",
        agent="worker-1",
        text=text,
        confidence=0.7,
        sources=("https://example.org/a",),
        edges=(Edge(kind=EdgeKind.TASK, to="task"), Edge(kind=EdgeKind.GOAL, to=place.goal)),
        found_at=AT,
    )
    return replace(made, **other)  # type: ignore[arg-type]


async def test_what_is_near_is_found_and_what_is_far_is_left_out(place: Place) -> None:
    async with place.opened() as qdrant:
        memory = place.memory(qdrant)
        near = finding(place, 0, "the pump leaks oil at the seal")
        far = finding(place, 1, "invoices are paid within thirty days")
        await memory.add([near, far], "b", settled=True)
        hits = await memory.search(place.tenant, "which pump leaks oil", "", 10, 0.0)
        assert [hit.finding for hit in hits] == [near, far]
        assert 1 >= hits[0].score > 0.5 > hits[1].score >= 0
        assert [hit.finding for hit in await memory.search(place.tenant, "pump leaks oil", "", 10, 0.5)] == [
            near
        ]
        assert [hit.finding for hit in await memory.search(place.tenant, "invoices", "", 1, 0.0)] == [far]
        assert await memory.search(place.tenant, "pump", "another goal", 10, 0.0) == []


async def test_no_tenant_sees_anothers_findings(place: Place) -> None:
    async with place.opened() as qdrant:
        memory = place.memory(qdrant)
        mine = finding(place, 0, "the pump leaks oil")
        # The same ids, the same goal: the tenant alone keeps them apart.
        theirs = finding(place, 0, "the pump leaks oil", tenant_id=f"{place.tenant}-other")
        await memory.add([mine], "b", settled=True)
        await memory.add([theirs], "b", settled=True)
        for tenant, own in ((place.tenant, mine), (theirs.tenant_id, theirs)):
            assert [hit.finding for hit in await memory.search(tenant, "pump", "", 10, 0.0)] == [own]
            assert await memory.of_goal(tenant, place.goal) == [own]
            assert await memory.findings(tenant, [mine.id]) == [own]
        await memory.settle(place.tenant, "task", None)
        await memory.drop(place.tenant, "task", "b")
        assert await memory.total(theirs.tenant_id, place.goal) == 1


async def test_a_draft_is_seen_by_nobody_until_it_is_settled_and_stays_settled(place: Place) -> None:
    async with place.opened() as qdrant:
        memory = place.memory(qdrant)
        good, bad = finding(place, 0, "pump one"), finding(place, 0, "pump two")
        await memory.add([bad], "overtaken")
        await memory.add([good], "winning")
        assert await memory.search(place.tenant, "pump", "", 10, 0.0) == []
        assert await memory.total(place.tenant, place.goal) == 0
        assert await memory.drafts(place.tenant, place.goal) == {"task"}
        await memory.settle(place.tenant, "task", "winning")
        for _ in range(2):
            assert await memory.of_goal(place.tenant, place.goal) == [good]
            assert await memory.drafts(place.tenant, place.goal) == set()
            # Told again by an attempt that was thought lost.
            await memory.add([good], "winning")


async def test_all_findings_of_a_goal_are_read_however_many_there_are(place: Place) -> None:
    async with place.opened() as qdrant:
        memory = place.memory(qdrant)
        many = [finding(place, number, f"finding number {number}") for number in range(700)]
        for _ in range(2):
            await memory.add(many, "b", settled=True)
        read = await memory.of_goal(place.tenant, place.goal)
        assert len(read) == await memory.total(place.tenant, place.goal) == 700
        assert {each.id for each in read} == {each.id for each in many}
        wanted = [each.id for each in reversed(many)]
        assert [each.id for each in await memory.findings(place.tenant, [*wanted, "none"])] == wanted


async def test_edges_lead_from_a_finding_to_its_neighbours_and_back(place: Place) -> None:
    async with place.opened() as qdrant:
        memory = place.memory(qdrant)
        first, second, third = (finding(place, number, f"text {number}") for number in range(3))
        second = replace(second, edges=(*second.edges, Edge(kind=EdgeKind.SUPPORTS, to=first.id)))
        third = replace(third, edges=(*third.edges, Edge(kind=EdgeKind.CONTRADICTS, to=second.id)))
        await memory.add([first, second, third], "b", settled=True)
        assert await memory.neighbours(place.tenant, second.id) == [first, third]
        assert await memory.neighbours(place.tenant, first.id) == [second]
        assert await memory.neighbours("another", first.id) == []


async def test_another_embedder_is_refused_by_name_and_by_size(place: Place) -> None:
    async with place.opened() as qdrant:
        one = finding(place, 0, "the pump leaks oil")
        await place.memory(qdrant).add([one], "b", settled=True)
        for other in (WordEmbedder(name="other words"), WordEmbedder(size=32)):
            wrong = place.memory(qdrant, other)
            with pytest.raises(EmbedderMismatch, match="words") as told:
                await wrong.search(place.tenant, "pump", "", 10, 0.0)
            assert "AITHER_MEMORY_COLLECTION" in told.value.message
            with pytest.raises(EmbedderMismatch):
                await wrong.add([finding(place, 1, "more")], "b", settled=True)
    async with place.opened() as qdrant:
        hits = await place.memory(qdrant).search(place.tenant, "pump", "", 10, 0.0)
        assert [hit.finding for hit in hits] == [one], "it is there after a restart, and nothing beside it"


async def test_two_that_begin_at_once_agree_on_the_embedder(place: Place) -> None:
    async with place.opened() as qdrant:
        several = [place.memory(qdrant, WordEmbedder(name=name)) for name in "abab"]
        tried = await asyncio.gather(
            *(memory.search(place.tenant, "pump", "", 10, 0.0) for memory in several), return_exceptions=True
        )
        refused = [isinstance(each, EmbedderMismatch) for each in tried]
        assert refused in ([False, True, False, True], [True, False, True, False])


def test_a_text_that_is_too_long_is_cut_between_characters_and_says_so() -> None:
    assert fit("short", 100) == "short"
    for text in ("ü" * TEXT_BYTES, "a" * (TEXT_BYTES + 1), "日本" * TEXT_BYTES):
        cut = fit(text, TEXT_BYTES)
        assert len(cut.encode()) <= TEXT_BYTES
        assert cut.endswith(CUT) and text.startswith(cut.removesuffix(CUT))
    assert fit("half \ud800", 100) == "half ?"
