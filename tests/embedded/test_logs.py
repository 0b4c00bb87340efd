"""Logs stay small, and are read in the order in which things happened."""

from pathlib import Path

import pytest

from infra.embedded import logs


def written(path: Path, *lines: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    with path.open("a") as file:
        file.writelines(f"{line}\n" for line in lines)
    return path


def test_a_long_log_is_moved_aside_and_its_writer_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "LIMIT_BYTES", 100)
    log = tmp_path / "part.log"
    with log.open("a") as writer:
        writer.write("x" * 101)
        writer.flush()
        logs.bound(log)
        writer.write("after")
    assert log.read_text() == "after"
    assert (tmp_path / "part.log.1").read_text() == "x" * 101


def test_a_short_log_and_a_missing_one_are_left_alone(tmp_path: Path) -> None:
    log = written(tmp_path / "part.log", "a")
    logs.bound(log)
    logs.bound(tmp_path / "none.log")
    assert [path.name for path in tmp_path.iterdir()] == ["part.log"]


def test_the_tail_is_exact_whatever_the_length_of_lines(tmp_path: Path) -> None:
    log = written(tmp_path / "part.log", *(f"{n} " + "x" * 3000 for n in range(50)))
    assert [line.split()[0] for line in logs.tail(log, 3)] == ["47", "48", "49"]
    assert len(logs.tail(log, 500)) == 50
    assert logs.tail(log, 0) == []


def test_parts_are_merged_by_time_and_lines_stay_with_theirs(tmp_path: Path) -> None:
    written(
        tmp_path / "logs" / "one.log",
        "2026-01-01 10:00:00,500 first",
        "  of one",
        "2026-01-01 10:00:03,000 third",
    )
    written(tmp_path / "logs" / "two.log", "time=2026-01-01T10:00:01.000 level=WARN second")
    shown: list[tuple[str, str]] = []
    logs.show(logs.of(tmp_path), 10, lambda part, line: shown.append((part, line)), follow=False)
    assert [part for part, _ in shown] == ["one", "one", "two", "one"]
    assert shown[1][1] == "  of one"


def test_added_lines_are_shown_whole_and_once(tmp_path: Path) -> None:
    log = written(tmp_path / "part.log", "old")
    offset = log.stat().st_size
    shown: list[str] = []
    with log.open("a") as file:
        file.write("new\nhal")
    offset = logs.added("part", log, offset, lambda _, line: shown.append(line))
    assert shown == ["new"]
    with log.open("a") as file:
        file.write("f\n")
    logs.added("part", log, offset, lambda _, line: shown.append(line))
    assert shown == ["new", "half"]
