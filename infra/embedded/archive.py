"""A backup as one file: a gzipped tar whose first member says what the others are, byte for byte.

Nothing in an archive is believed before it has been looked at: names stay below the folder that they are unpacked in,
only plain files are taken, and each has to have the size and the SHA-256 that the manifest gives.
"""

import gzip
import hashlib
import io
import os
import tarfile
import time
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO

import msgspec

FORMAT = 1
MANIFEST = "manifest.json"
MOST_MANIFEST_BYTES = 64 * 1024 * 1024
COMPRESSION = 5
CHUNK = 1024 * 1024


class ArchiveError(Exception):
    """The file is no backup that can be restored; says in one line why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A file of the archive."""

    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What the archive holds, and what made it. `models` are the files of models with their sizes, held or not."""

    format: int
    product: str
    made_at: datetime
    live: bool
    migrations: tuple[int, ...]
    temporal_at: datetime | None = None
    """From when Temporal's copy is; PostgreSQL's is younger."""
    members: dict[str, Member] = field(default_factory=dict[str, Member])
    models: dict[str, int] = field(default_factory=dict[str, int])

    @property
    def bytes(self) -> int:
        """What it comes to, unpacked."""
        return sum(member.bytes for member in self.members.values())


def measured(files: Mapping[str, Path]) -> dict[str, Member]:
    """Size and checksum of each file."""
    found: dict[str, Member] = {}
    for name, path in files.items():
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            found[name] = Member(bytes=file.tell(), sha256=digest)
    return found


def pack(target: Path, manifest: Manifest, files: Mapping[str, Path]) -> None:
    """Writes the archive, readable by its owner only; it gets its name once it is whole and on the disk.

    Raises `ArchiveError` for a file that has changed since it was measured, `FileExistsError` rather than replace.
    """
    fresh = target.with_name(f".{target.name}.partial")
    descriptor = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            with tarfile.open(fileobj=file, mode="w:gz", compresslevel=COMPRESSION) as tar:
                head = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
                tar.addfile(_entry(MANIFEST, len(head)), io.BytesIO(head))
                for name, path in files.items():
                    _add(tar, name, path, manifest.members[name])
            file.flush()
            os.fsync(file.fileno())
        _place(fresh, target)
    finally:
        fresh.unlink(missing_ok=True)


def _place(fresh: Path, target: Path) -> None:
    try:
        # A link, unlike a renaming, replaces nothing.
        os.link(fresh, target)
    except FileExistsError:
        raise
    except OSError:
        # Not every file system has links.
        if os.path.lexists(target):
            raise FileExistsError(f"{target} is there already") from None
        fresh.rename(target)


def _add(tar: tarfile.TarFile, name: str, path: Path, member: Member) -> None:
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size != member.bytes:
            raise ArchiveError(f"{path} has changed while it was read; try again")
        tar.addfile(_entry(name, member.bytes), file)


def _entry(name: str, size: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.mtime = size, 0o600, int(time.time())
    return entry


def read_manifest(archive: Path) -> Manifest:
    """What the archive says of itself. Raises `ArchiveError`, also for a format that this version does not know."""
    with _opened(archive) as tar:
        return _manifest(tar, archive)


def unpack(archive: Path, folder: Path) -> Manifest:
    """Unpacks all of it below the folder, closed to others. Raises `ArchiveError`; the folder is then not to be used.

    What is there afterwards is what was packed: every member, each with its checksum, and nothing else.
    """
    with _opened(archive) as tar:
        manifest = _manifest(tar, archive)
        missing = dict(manifest.members)
        for entry in _entries(tar, archive):
            safe = _safe(entry, folder, archive)
            member = missing.pop(safe.name, None)
            if member is None:
                raise ArchiveError(
                    f"{archive} holds {safe.name!r}, which its manifest does not know, or twice"
                )
            _write(tar, entry, folder / safe.name, member, archive)
    if missing:
        raise ArchiveError(
            f"{archive} is damaged: {next(iter(missing))} is not in it, nor {len(missing) - 1} others"
        )
    return manifest


def _opened(archive: Path) -> tarfile.TarFile:
    try:
        return tarfile.open(archive, mode="r:gz")
    except FileNotFoundError:
        raise ArchiveError(f"there is no file {archive}") from None
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise ArchiveError(f"{archive} is no backup: {_words(error)}") from error


def _entries(tar: tarfile.TarFile, archive: Path) -> Iterator[tarfile.TarInfo]:
    """The members after the first; then the rest of the file is read, for gzip's own checksum."""
    while True:
        try:
            entry = tar.next()
            while entry is None and tar.fileobj.read(CHUNK):
                pass
        except _BROKEN as error:
            raise ArchiveError(f"{archive} is damaged: {_words(error)}") from error
        if entry is None:
            return
        yield entry


def _manifest(tar: tarfile.TarFile, archive: Path) -> Manifest:
    first = next(_entries(tar, archive), None)
    if first is None or first.name != MANIFEST or not first.isreg() or first.size > MOST_MANIFEST_BYTES:
        raise ArchiveError(f"{archive} is no backup: it does not begin with {MANIFEST}")
    head = b"".join(_chunks(tar, first, archive))
    try:
        number = msgspec.json.decode(head, type=dict[str, msgspec.Raw]).get("format")
        if number is not None and (known := msgspec.json.decode(number, type=int)) > FORMAT:
            raise ArchiveError(
                f"{archive} has format {known}; this version knows {FORMAT}: restore it by a newer one"
            )
        return msgspec.json.decode(head, type=Manifest)
    except msgspec.DecodeError as error:
        raise ArchiveError(f"{archive} is damaged: its manifest cannot be read: {error}") from error


def _safe(entry: tarfile.TarInfo, folder: Path, archive: Path) -> tarfile.TarInfo:
    """The member, if it is a plain file below the folder."""
    try:
        safe = tarfile.data_filter(entry, str(folder))
    except tarfile.FilterError as error:
        raise ArchiveError(f"{archive} is not to be trusted: {error}") from error
    # The filter makes an absolute name a relative one; ours never was absolute.
    if not entry.isreg() or safe.name != entry.name or ".." in Path(entry.name).parts:
        raise ArchiveError(
            f"{archive} is not to be trusted: {entry.name!r} is no plain file below its folder"
        )
    return safe


def _write(tar: tarfile.TarFile, entry: tarfile.TarInfo, path: Path, member: Member, archive: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    digest = hashlib.sha256()
    if entry.size != member.bytes:
        raise ArchiveError(f"{archive} is damaged: {entry.name} has {entry.size} bytes, not {member.bytes}")
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        for chunk in _chunks(tar, entry, archive):
            digest.update(chunk)
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    if digest.hexdigest() != member.sha256:
        raise ArchiveError(f"{archive} is damaged: the checksum of {entry.name} is wrong")


def _chunks(tar: tarfile.TarFile, entry: tarfile.TarInfo, archive: Path) -> Iterator[bytes]:
    try:
        file: IO[bytes] | None = tar.extractfile(entry)
        while file is not None and (chunk := file.read(CHUNK)):
            yield chunk
    except _BROKEN as error:
        raise ArchiveError(f"{archive} is damaged: {_words(error)}") from error


_BROKEN = (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error, OSError)


def _words(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
