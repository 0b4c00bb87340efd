"""The agent's downloads: whole and right, or not there at all; and nothing that was safe on disk is fetched again."""

import hashlib
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.box.agent import fetch
from infra.box.agent.fetch import Puller
from tests.support.standin_mirror import Fault, Mirror, mirror

PACE = {"files": 4, "connections": 4, "part_bytes": 10_000}
CONTENT = os.urandom(100_000)


@pytest.fixture(scope="module")
def open_mirror() -> Iterator[Mirror]:
    with mirror() as running:
        yield running


@pytest.fixture
def hub(open_mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> Mirror:
    monkeypatch.setattr(fetch, "PAUSE_S", 0.001)
    for kept in (open_mirror.files, open_mirror.faults, open_mirror.seen, open_mirror.sent):
        kept.clear()
    return open_mirror


def wanted(content: bytes, *urls: str, name: str = "weights.bin", **headers: str) -> dict[str, Any]:

    return {
        "uri": f"aither://models/shared/tiny/{name}",
        "dir": "tiny",
        "name": name,
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "required": True,
        "sources": [{"tier": f"tier{n}", "url": url, "headers": headers} for n, url in enumerate(urls)],
    }


def pull(folder: Path, *files: dict[str, Any], again: Any = None) -> dict[str, str]:
    puller = Puller(folder, PACE, again or (lambda _: []))
    missing = puller.pull(list(files))
    assert puller.have == sum(each["size"] for each in files if each["uri"] not in missing)
    return missing


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "tiny").iterdir())


def test_a_file_comes_in_parts_and_whole(hub: Mirror, tmp_path: Path) -> None:
    url = hub.put("/a", CONTENT)
    assert pull(tmp_path, wanted(CONTENT, url)) == {}
    assert (tmp_path / "tiny/weights.bin").read_bytes() == CONTENT
    assert left(tmp_path) == ["weights.bin"]
    assert sorted(span for _, span, _ in hub.seen)[:2] == ["bytes=0-0", "bytes=0-9999"]
    assert len(hub.seen) == 11
    hub.seen.clear()
    assert pull(tmp_path, wanted(CONTENT, url)) == {}
    assert hub.seen == []


def test_a_line_that_is_cut_goes_on_where_it_was(hub: Mirror, tmp_path: Path) -> None:
    url = hub.put("/a", CONTENT, Fault(cut_after=3000, times=25))
    assert pull(tmp_path, wanted(CONTENT, url)) == {}
    assert (tmp_path / "tiny/weights.bin").read_bytes() == CONTENT
    assert sum(hub.sent.values()) == len(CONTENT) + 1


def test_what_was_safe_on_disk_is_not_fetched_again(hub: Mirror, tmp_path: Path) -> None:
    url = hub.put("/a", CONTENT, Fault(status=503, times=0))
    folder = tmp_path / "tiny"
    folder.mkdir()
    (folder / "weights.bin.part").write_bytes(CONTENT[:40_000] + bytes(60_000))

    head = {
        "tag": f'"{hashlib.md5(CONTENT).hexdigest()}"',
        "size": len(CONTENT),
        "step": 10_000,
        "sha256": hashlib.sha256(CONTENT).hexdigest(),
    }
    (folder / "weights.bin.journal").write_text(json.dumps(head) + "\n0\n1\n2\n3\n7x")
    assert pull(tmp_path, wanted(CONTENT, url)) == {}
    assert (folder / "weights.bin").read_bytes() == CONTENT
    assert hub.sent["/a"] == 60_001


def test_another_file_under_the_url_is_begun_anew(hub: Mirror, tmp_path: Path) -> None:
    url = hub.put("/a", CONTENT)
    folder = tmp_path / "tiny"
    folder.mkdir()
    (folder / "weights.bin.part").write_bytes(bytes(100_000))
    head = {"tag": '"older"', "size": len(CONTENT), "step": 10_000, "sha256": wanted(CONTENT)["sha256"]}
    (folder / "weights.bin.journal").write_text(
        json.dumps(head) + "\n" + "\n".join(map(str, range(10))) + "\n"
    )
    assert pull(tmp_path, wanted(CONTENT, url)) == {}
    assert (folder / "weights.bin").read_bytes() == CONTENT


def test_a_file_with_another_digest_is_not_kept_and_the_next_source_is_asked(
    hub: Mirror, tmp_path: Path
) -> None:
    wrong = hub.put("/wrong", b"x" + CONTENT[1:])
    right = hub.put("/right", CONTENT)
    why = pull(tmp_path, wanted(CONTENT, wrong))
    assert "another file" in str(why)
    assert left(tmp_path) == []
    assert pull(tmp_path, wanted(CONTENT, wrong, right)) == {}
    assert (tmp_path / "tiny/weights.bin").read_bytes() == CONTENT


PAGE = b"<html>log in</html>"
SAFE = (40).to_bytes(8, "little") + b'{"a":1}' + bytes(85)


@pytest.mark.parametrize(
    ("name", "content", "fault", "why"),
    [
        ("w.safetensors", SAFE, Fault(content_type="text/html"), "page"),
        ("w.json", b'{"a": 1}', Fault(content_type="text/html"), "page"),
        ("w.gguf", b"GGUF" + bytes(96), Fault(content_type="application/json"), "page"),
        ("w.safetensors", b"<html>" + bytes(94), Fault(), "another file"),
        ("w.safetensors", (999).to_bytes(8, "little") + b"{" + bytes(91), Fault(), "another file"),
        ("w.gguf", bytes(100), Fault(), "another file"),
        ("w.bin", bytes(100), Fault(ranges=False), "does not send parts"),
        ("w.bin", bytes(100), Fault(status=404), "404"),
        ("w.bin", bytes(100), Fault(status=503), "503"),
    ],
)
def test_what_is_no_model_file_is_not_taken_for_one(
    hub: Mirror, tmp_path: Path, name: str, content: bytes, fault: Fault, why: str
) -> None:
    url = hub.put("/a", content, fault)
    assert why in str(pull(tmp_path, wanted(content, url, name=name)))
    assert not (tmp_path / "tiny" / name).exists()


def test_a_login_page_of_the_very_size_is_not_kept(hub: Mirror, tmp_path: Path) -> None:
    page = PAGE + bytes(100 - len(PAGE))
    url = hub.put("/a", page)
    assert "another file" in str(pull(tmp_path, wanted(SAFE, url, name="w.safetensors")))
    assert left(tmp_path) == []


def test_a_wrong_size_is_told_before_anything_is_fetched(hub: Mirror, tmp_path: Path) -> None:
    url = hub.put("/a", CONTENT + b"more")
    assert "100004 bytes, not 100000" in str(pull(tmp_path, wanted(CONTENT, url)))
    assert len(hub.seen) == 1


def test_a_url_that_ran_out_is_renewed_and_what_is_there_stays(hub: Mirror, tmp_path: Path) -> None:
    """Half of it came by the first URL; the second one is asked for the other half only."""
    old, new = hub.put("/old", CONTENT), hub.put("/new", CONTENT)
    lock, left_over = threading.Lock(), [6]
    real = hub.files

    class Running(dict[str, bytes]):
        def get(self, key: str, default: Any = None) -> Any:
            if key == "/old":
                with lock:
                    left_over[0] -= 1
                    if left_over[0] < 0:
                        hub.faults["/old"] = Fault(status=403)
            return real.get(key, default)

    hub.files = Running(real)
    asked: list[str] = []

    def again(uri: str) -> list[dict[str, Any]]:
        asked.append(uri)
        return [{"tier": "tier0", "url": new, "headers": {}}]

    try:
        assert pull(tmp_path, wanted(CONTENT, old), again=again) == {}
    finally:
        hub.files = real
    assert (tmp_path / "tiny/weights.bin").read_bytes() == CONTENT
    assert asked == ["aither://models/shared/tiny/weights.bin"]
    assert 0 < hub.sent["/new"] < len(CONTENT)


def test_a_refusal_that_no_new_url_helps_ends_it(hub: Mirror, tmp_path: Path) -> None:
    url = hub.put("/a", CONTENT, Fault(status=403))

    def again(uri: str) -> list[dict[str, Any]]:
        return [{"tier": "tier0", "url": url, "headers": {}}]

    assert "refuses (403)" in str(pull(tmp_path, wanted(CONTENT, url), again=again))


def test_a_token_stays_with_its_host(hub: Mirror, tmp_path: Path) -> None:
    with mirror("127.0.0.2") as other:
        there = other.put("/signed", CONTENT)
        url = hub.put("/a", CONTENT, Fault(redirect=there))
        file = wanted(CONTENT, url, Authorization="Bearer hf_secret")
        assert pull(tmp_path, file) == {}
        assert {token for _, _, token in hub.seen} == {"Bearer hf_secret"}
        assert {token for _, _, token in other.seen} == {""}
        assert len(hub.seen) == 1


@pytest.mark.parametrize("field", ["dir", "name"])
@pytest.mark.parametrize("bad", ["../up", "a/b", "", ".hidden", "/etc"])
def test_a_name_leads_nowhere_else(hub: Mirror, tmp_path: Path, field: str, bad: str) -> None:
    url = hub.put("/a", CONTENT)
    assert "leads elsewhere" in str(pull(tmp_path, wanted(CONTENT, url) | {field: bad}))
    assert list(tmp_path.iterdir()) == []


def test_four_files_at_a_time(hub: Mirror, tmp_path: Path) -> None:
    """Six are wanted and none goes on: four are under way, and two have not been asked for."""
    go = threading.Event()
    for number in range(6):
        hub.put(f"/{number}", b"abc", Fault(wait=go, hold_after=1))
    files = [wanted(b"abc", f"{hub.url}/{n}", name=f"w{n}") for n in range(6)]
    puller = Puller(tmp_path, PACE, lambda _: [])
    running = threading.Thread(target=puller.pull, args=(files,))
    running.start()
    with hub.changed:
        assert hub.changed.wait_for(lambda: sum(size >= 2 for size in hub.sent.values()) == 4, 60)
        assert {path for path, _, _ in hub.seen} == {f"/{n}" for n in range(4)}
    go.set()
    running.join(60)
    assert sorted(left(tmp_path)) == [f"w{n}" for n in range(6)]
