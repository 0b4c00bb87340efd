"""An archive is believed byte by byte or not at all, and nothing outside of its folder is ever written."""

import gzip
import io
import os
import stat
import tarfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from infra.embedded import restore as restoring
from infra.embedded.archive import (
    FORMAT,
    MANIFEST,
    ArchiveError,
    Manifest,
    measured,
    pack,
    read_manifest,
    unpack,
)
from infra.embedded.layout import Layout
from infra.embedded.restore import RestoreFailed, restore
from infra.embedded.state import Lock

FILES = {"redis/appendonly.aof": os.urandom(3000), "secrets.json": b'{"a": "b"}', "qdrant/x/y": b""}
SAID = Manifest(
    format=FORMAT, product="0.1.0", made_at=datetime(2026, 1, 1, tzinfo=UTC), live=False, migrations=()
)


def packed(folder: Path, manifest: Manifest = SAID) -> Path:
    """A good archive of `FILES`, whatever its manifest says beside their checksums."""
    source = folder / "source"
    files = {name: source / name.replace("/", "-") for name in FILES}
    source.mkdir(exist_ok=True)
    for name, path in files.items():
        path.write_bytes(FILES[name])
    archive = folder / "backup.tar.gz"
    archive.unlink(missing_ok=True)
    pack(archive, replace(manifest, members=measured(files)), files)
    return archive


def rewritten(archive: Path, change: Callable[[list[tuple[tarfile.TarInfo, bytes]]], None]) -> None:
    """The archive, its entries changed."""
    with tarfile.open(archive) as tar:
        entries = [(entry, file.read()) for entry in tar if (file := tar.extractfile(entry))]
    change(entries)
    with tarfile.open(archive, "w:gz") as tar:
        for entry, content in entries:
            entry.size = len(content) if entry.isreg() else 0
            tar.addfile(entry, io.BytesIO(content))


def entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname, made.mode = kind, link, 0o777
    return made


def test_what_was_packed_is_unpacked_and_closed_to_others(tmp_path: Path) -> None:
    archive = packed(tmp_path)
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600
    manifest = unpack(archive, tmp_path / "out")
    assert manifest == read_manifest(archive)
    found = {str(p.relative_to(tmp_path / "out")): p for p in (tmp_path / "out").rglob("*") if p.is_file()}
    assert {name: path.read_bytes() for name, path in found.items()} == FILES
    assert {stat.S_IMODE(path.stat().st_mode) for path in found.values()} == {0o600}
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_file_that_is_there_is_not_replaced(tmp_path: Path) -> None:
    archive = packed(tmp_path)
    with pytest.raises(FileExistsError):
        pack(archive, SAID, {})
    assert read_manifest(archive).members


def test_every_flipped_byte_is_found(tmp_path: Path) -> None:
    """Of the tar within; around it, gzip has a checksum of its own."""
    archive = packed(tmp_path)
    whole = gzip.decompress(archive.read_bytes())
    with tarfile.open(fileobj=io.BytesIO(whole)) as tar:
        places = {member.name: (member.offset_data, member.size) for member in tar}
    start, size = places["redis/appendonly.aof"]
    head, head_size = places[MANIFEST]
    spots = [start, start + size // 2, start + size - 1]
    spots += [head + whole[head : head + head_size].index(b'"sha256": "') + 12]
    for number, spot in enumerate(spots):
        hurt = bytearray(whole)
        hurt[spot] ^= 1
        archive.write_bytes(gzip.compress(bytes(hurt)))
        with pytest.raises(ArchiveError, match="damaged"):
            unpack(archive, tmp_path / f"out{number}")


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_cut_archive_is_found_out(tmp_path: Path, share: float) -> None:
    archive = packed(tmp_path)
    whole = archive.read_bytes()
    archive.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(ArchiveError, match=r"damaged|no backup"):
        unpack(archive, tmp_path / "out")


@pytest.mark.parametrize(
    "intruder",
    [
        entry("../outside"),
        entry("qdrant/../../outside"),
        entry("/tmp/aither-outside"),
        entry("qdrant/link", tarfile.SYMTYPE, "/etc/passwd"),
        entry("qdrant/hard", tarfile.LNKTYPE, "../../outside"),
        entry("qdrant/device", tarfile.CHRTYPE),
        entry("qdrant/folder", tarfile.DIRTYPE),
        entry("not-in-the-manifest"),
        entry("secrets.json"),
    ],
    ids=lambda each: f"{each.name}-{each.type.decode()}",
)
@pytest.mark.parametrize("told", [False, True], ids=["untold", "told"])
def test_nothing_is_written_outside_or_that_was_not_packed(
    tmp_path: Path, intruder: tarfile.TarInfo, told: bool
) -> None:
    archive = packed(tmp_path)

    def smuggle(entries: list[tuple[tarfile.TarInfo, bytes]]) -> None:
        if told and intruder.name not in FILES and intruder.name != "not-in-the-manifest":
            manifest = msgspec.json.decode(entries[0][1])
            manifest["members"][intruder.name] = {
                "bytes": 0,
                "sha256": measured({"x": Path("/dev/null")})["x"].sha256,
            }
            entries[0] = (entries[0][0], msgspec.json.encode(manifest))
        entries.append((intruder, b""))

    rewritten(archive, smuggle)
    inside = tmp_path / "deep" / "out"
    with pytest.raises(ArchiveError, match=r"not to be trusted|does not know"):
        unpack(archive, inside)
    written = {path for path in tmp_path.rglob("*") if path.is_file() or path.is_symlink()}
    assert all(inside in path.parents or path.parent.name == "source" or path == archive for path in written)


def drop_last(entries: list[tuple[tarfile.TarInfo, bytes]]) -> None:
    entries.pop()


def test_a_missing_member_is_missed(tmp_path: Path) -> None:
    archive = packed(tmp_path)
    rewritten(archive, drop_last)
    with pytest.raises(ArchiveError, match="is not in it"):
        unpack(archive, tmp_path / "out")


def test_what_is_no_backup_is_told_in_one_line(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("hello")
    other = tmp_path / "other.tar.gz"
    with tarfile.open(other, "w:gz") as tar:
        tar.addfile(entry("hello"))
    for path in (text, other, tmp_path / "nothing", tmp_path):
        with pytest.raises(ArchiveError) as told:
            read_manifest(path)
        assert "\n" not in str(told.value)
        assert str(path) in str(told.value)


@pytest.mark.parametrize(
    ("manifest", "why"),
    [
        (replace(SAID, format=FORMAT + 1), "has format"),
        (replace(SAID, product="99.0.0"), "newer than this one"),
        (replace(SAID, migrations=(1, 2, 999)), "newer than this one"),
    ],
)
async def test_a_backup_of_a_newer_version_is_refused(tmp_path: Path, manifest: Manifest, why: str) -> None:
    archive = packed(tmp_path, manifest)
    with pytest.raises(RestoreFailed, match=why):
        await restore(archive, tmp_path / "data", force=True)
    assert not (tmp_path / "data").exists()


async def test_a_directory_in_use_is_left_alone_and_moved_aside_by_force(tmp_path: Path) -> None:
    archive, root = packed(tmp_path), tmp_path / "data"
    Layout(root).make()
    (root / "mine").write_text("mine")
    with pytest.raises(RestoreFailed, match="--force"):
        await restore(archive, root, force=False)
    lock = Lock(Layout(root))
    assert lock.take()
    with pytest.raises(RestoreFailed, match="running"):
        await restore(archive, root, force=True)
    lock.release()
    assert (root / "mine").read_text() == "mine"
    done = await restore(archive, root, force=True)
    assert done.aside
    assert (done.aside / "mine").read_text() == "mine"
    assert (root / "secrets.json").read_bytes() == FILES["secrets.json"]
    assert (root / "qdrant" / "x" / "y").exists()


async def test_a_restore_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive, root = packed(tmp_path), tmp_path / "data"
    root.mkdir()
    (root / "mine").write_text("mine")
    before = {path.name for path in tmp_path.iterdir()}

    async def fail(*_: object) -> None:
        raise OSError("no space left")

    with monkeypatch.context() as patched:
        patched.setattr(restoring, "_fill", fail)
        with pytest.raises(RestoreFailed, match="no space left"):
            await restore(archive, root, force=True)
    rename = Path.rename

    def half(self: Path, target: Path) -> Path:
        if ".restoring-" in self.name:
            raise OSError("in the middle")
        return rename(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", half)
        patched.setattr(restoring, "_fill", fill_nothing)
        with pytest.raises(RestoreFailed, match="in the middle"):
            await restore(archive, root, force=True)
    assert {path.name for path in tmp_path.iterdir()} == before
    assert (root / "mine").read_text() == "mine"


async def fill_nothing(*_: object) -> None:
    pass
