"""`[cards."HOST/INDEX"]` and `[residents.NAME]`: the GPU cards, and the models that share their VRAM."""

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from activities.contracts.backends import Backend
from activities.contracts.cards import CardSpec, HostKind, Resident
from infra.config.addresses import objection
from infra.config.mistakes import Finding, allowed
from infra.config.table import Table, kind

CARD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}/(?:0|[1-9]\d?)", re.ASCII)
CARD_FORM = (
    'a card is named by its host and its number there, such as "desk/0": letters, digits, dots, dashes and'
    " underscores, a slash, a number below 100"
)
MOST_MIB = 16 * 1024 * 1024
"""No card has 16 TiB; bytes taken for MiB do."""

_CARD_HINTS = {
    **dict.fromkeys(("vram", "vram_gb", "mib", "total_mib"), 'did you mean "vram_mib"?'),
    "residents": "a resident is a table of its own, [residents.NAME], which names its card",
}
_RESIDENT_HINTS = {
    **dict.fromkeys(("vram_mib", "vram", "footprint"), 'did you mean "mib"?'),
    **dict.fromkeys(("url", "port"), 'did you mean "base_url"?'),
    "model": 'a model belongs to the backend, which names its resident: resident = "…"',
}


@dataclass(frozen=True, slots=True)
class WrittenCards:
    """The cards of a file with their residents. `names` has the residents too that are too wrong to be read."""

    cards: tuple[CardSpec, ...]
    names: frozenset[str]

    @property
    def residents(self) -> dict[str, Resident]:
        """The residents of all cards, by name."""
        return {resident.name: resident for card in self.cards for resident in card.residents}


def read_cards(root: Table) -> WrittenCards:
    """All of `[cards]` and `[residents]`."""
    tables = root.named("cards", CARD, CARD_FORM)
    bare = [_card(name, table) for name, table in tables.items() if table is not None]
    written = root.named("residents")
    residents = [_resident(name, table, tables) for name, table in written.items() if table is not None]
    cards = [
        replace(card, residents=tuple(each for each in residents if each.card == card.card)) for card in bare
    ]
    for card in cards:
        root.findings.extend(_crowded(card))
    for host in dict.fromkeys(card.host for card in cards):
        ours = [resident for card in cards if card.host == host for resident in card.residents]
        root.findings.extend(_shared_ports(ours))
    return WrittenCards(tuple(cards), frozenset(written))


def unclear_residents(backends: Iterable[Backend], written: WrittenCards) -> Iterator[Finding]:
    """A backend may name one resident, which must be there and serve models."""
    residents = written.residents
    for backend in backends:
        name, path = backend.resident, ("backends", backend.name, "resident")
        if name is not None and name not in written.names:
            yield Finding(path, f'"{name}" is no resident; {allowed(written.names, name)}')
        elif name in residents and residents[name].kind is HostKind.COMFYUI:
            yield Finding(path, f'"{name}" makes images: it cannot serve a model')


def _card(name: str, table: Table) -> CardSpec:
    default = CardSpec(card=name, vram_mib=0)
    vram = _mib(table, "vram_mib")
    reserve = table.integer("reserve_mib", default.reserve_mib, least=0, most=MOST_MIB)
    card = CardSpec(
        card=name,
        vram_mib=vram,
        reserve_mib=reserve,
        hog=table.length("hog", default.hog, zero=True),
        aging=table.length("aging", default.aging),
    )
    table.close(_CARD_HINTS)
    if vram and reserve >= vram:
        table.wrong(f"reserve_mib ({reserve}) must be less than vram_mib ({vram})", "reserve_mib")
    return card


def _resident(name: str, table: Table, cards: Collection[str]) -> Resident:
    default = Resident(name=name, card="", kind=HostKind.PROCESS, mib=0, base_url="")
    of = table.choice("kind", HostKind.PROCESS)
    if not table.has("kind"):
        table.wrong(f"kind is missing; {allowed(HostKind)}")
    on_demand = table.flag("on_demand", True)
    resident = Resident(
        name=name,
        card=_known_card(table, cards),
        kind=of,
        mib=_mib(table, "mib"),
        base_url=_root_url(table),
        asleep_mib=table.integer("asleep_mib", 0, least=0, most=MOST_MIB),
        command=_command(table),
        sleep_level=table.integer("sleep_level", default.sleep_level, least=1, most=2),
        priority=table.integer("priority", default.priority, least=1, most=5),
        on_demand=on_demand,
        idle=table.length("idle", default.idle, zero=True),
        start_timeout=table.length("start_timeout", default.start_timeout),
    )
    table.close(_RESIDENT_HINTS)
    if table.has("kind"):
        _unfit_for_kind(table, resident)
    if not on_demand and table.has("idle"):
        table.wrong("only what is on_demand rests when it is idle", "idle")
    if resident.mib and resident.asleep_mib > resident.mib:
        text = f"asleep_mib ({resident.asleep_mib}) must not be above mib ({resident.mib})"
        table.wrong(text, "asleep_mib")
    return resident


def _unfit_for_kind(table: Table, resident: Resident) -> None:
    """Notes what is missing for its kind, and what belongs to another."""
    if resident.kind is HostKind.PROCESS:
        if not table.has("command"):
            table.wrong('command is missing: a resident of kind = "process" is started with it')
        if resident.asleep_mib:
            table.wrong("a process that rests has ended and takes nothing", "asleep_mib")
    elif table.has("command"):
        text = f'only a resident of kind = "process" is started by us; a {resident.kind} runs by itself'
        table.wrong(text, "command")
    if resident.kind is not HostKind.VLLM and table.has("sleep_level"):
        table.wrong('only a resident of kind = "vllm" has a sleep_level', "sleep_level")


def _known_card(table: Table, cards: Collection[str]) -> str:
    card = table.needed("card")
    if card and card not in cards:
        table.wrong(f'"{card}" is no card; {allowed(cards, card)}', "card")
    return card


def _mib(table: Table, key: str) -> int:
    if not table.has(key):
        table.wrong(f"{key} is missing")
    return table.integer(key, 0, least=1, most=MOST_MIB)


def _root_url(table: Table) -> str:
    """The root of its server; empty where it is missing or wrong."""
    url = table.needed("base_url").rstrip("/")
    wrong = objection(url) if url else None
    if wrong is None and url.endswith("/v1"):
        wrong = "its server's root is wanted, under which /health is: leave out /v1"
    if wrong is None:
        return url
    table.wrong(wrong, "base_url")
    return ""


def _command(table: Table) -> tuple[str, ...]:
    """A program and its arguments, which may be empty and may repeat."""
    words: list[str] = []
    written = table.array("command")
    for index, value in enumerate(written or ()):
        if isinstance(value, str):
            words.append(value)
        else:
            table.wrong(f"a string is wanted, not {kind(value)}", "command", index)
    if written is not None and (not written or written[0] == ""):
        table.wrong("a command begins with the program to run", "command")
    return tuple(words)


def _crowded(card: CardSpec) -> Iterator[Finding]:
    """Residents that cannot get onto their card, even when everything that can rest does."""
    if not card.vram_mib or card.reserve_mib >= card.vram_mib:
        return
    room = card.vram_mib - card.reserve_mib
    for resident in card.residents:
        others = [other for other in card.residents if other is not resident]
        taken = sum(_least(other) for other in others)
        if resident.mib and resident.mib + taken > room:
            beside = f" beside the {taken} of what is always there or rests" if taken else ""
            text = f"{resident.mib} MiB can never fit{beside}: {card.card} has {room} MiB for residents"
            yield Finding(("residents", resident.name, "mib"), text)


def _least(resident: Resident) -> int:
    return resident.footprint(resident.rest) if resident.on_demand else resident.mib


def _shared_ports(residents: Iterable[Resident]) -> Iterator[Finding]:
    """Two servers of one host cannot listen on one port."""
    first: dict[tuple[str, int], str] = {}
    for resident in residents:
        if not resident.base_url:
            continue
        place = _address(resident.base_url)
        other = first.setdefault(place, resident.name)
        if other != resident.name:
            path = ("residents", resident.name, "base_url")
            yield Finding(path, f'port {place[1]} of {place[0]} is "{other}"\'s already')


def _address(url: str) -> tuple[str, int]:
    """Host and port of a server; the names of one's own machine are one."""
    parts = urlsplit(url)
    host = "127.0.0.1" if parts.hostname in {"localhost", "::1"} else parts.hostname or ""
    return host, parts.port or (443 if parts.scheme == "https" else 80)
