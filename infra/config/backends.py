"""`[backends.NAME]`: one model behind one URL."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from activities.contracts.backends import Backend, BackendKind, Capability, Dialect, Locality, Price, Thinking
from infra.config.addresses import locality_of, objection, vendor_of
from infra.config.mistakes import allowed
from infra.config.table import Table

POOL = re.compile(r"llm-[A-Za-z0-9._-]{1,60}", re.ASCII)
POOL_FORM = 'a pool is a task queue named "llm-…", of letters, digits, dots, dashes and underscores'

_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*", re.ASCII)
_KEY_HINT = "a key does not belong in this file: name the environment variable that holds it in api_key_env"
_HINTS = {
    **dict.fromkeys(("api_key", "key", "token", "secret", "password"), _KEY_HINT),
    "context": 'did you mean "window_tokens"?',
    "max_model_len": 'did you mean "window_tokens"?',
    "url": 'did you mean "base_url"?',
    "max_num_seqs": 'did you mean "slots"?',
}


@dataclass(frozen=True, slots=True)
class Written:
    """The backends of a file. `names` has those too that are too wrong to be read."""

    backends: tuple[Backend, ...]
    names: frozenset[str]


def read_backends(root: Table) -> Written:
    """All of `[backends]`."""
    tables = root.named("backends")
    read = tuple(_backend(name, table) for name, table in tables.items() if table is not None)
    return Written(read, frozenset(tables))


def read_price(table: Table) -> Price | None:
    """US dollars per million tokens, never without the day on which they were read."""
    for key in ("input_usd", "output_usd", "read_on"):
        if not table.has(key):
            table.wrong(f"{key} is missing: a price is input_usd, output_usd and the date read_on")
    price = Price(
        input_usd=table.number("input_usd", 0.0, least=0),
        output_usd=table.number("output_usd", 0.0, least=0),
        cached_input_usd=table.number("cached_input_usd", None, least=0),
        read_on=table.day("read_on"),
    )
    return price if price.read_on else None


def _backend(name: str, table: Table) -> Backend:
    kind = table.choice("kind", BackendKind.OPENAI)
    dialect = table.choice("dialect", Dialect.GENERIC)
    if kind is BackendKind.ANTHROPIC and table.has("dialect"):
        table.wrong('only backends of kind = "openai" have a dialect', "dialect")
    url = _url(table, kind)
    variable = _variable(table)
    price = table.table("price")
    pool = table.text("pool", None)
    if pool is not None and not POOL.fullmatch(pool):
        table.wrong(POOL_FORM, "pool")
    backend = Backend(
        name=name,
        kind=kind,
        dialect=dialect,
        thinking=table.choice("thinking", Thinking.DEFAULT),
        base_url=url,
        model=table.needed("model"),
        slots=table.integer("slots", 1, least=1, most=10_000),
        window_tokens=table.integer("window_tokens", 8192, least=1),
        locality=_locality(table, url, variable),
        capabilities=_capabilities(table),
        api_key_env=variable,
        price=_closed_price(price) if price else None,
        pool=pool,
        resident=table.text("resident", None),
    )
    table.close(_HINTS)
    return backend


def _closed_price(table: Table) -> Price | None:
    price = read_price(table)
    table.close()
    return price


def _url(table: Table, kind: BackendKind) -> str:
    """The base URL; empty where it is missing or wrong."""
    url = table.needed("base_url")
    wrong = objection(url) if url else None
    if wrong is None and kind is BackendKind.ANTHROPIC and url.rstrip("/").endswith("/v1"):
        wrong = "Anthropic's client adds /v1 itself: leave it out"
    if wrong is None:
        return url.rstrip("/")
    table.wrong(wrong, "base_url")
    return ""


def _locality(table: Table, url: str, variable: str | None) -> Locality:
    """As it is written, else as the URL tells; what is wrongly called local would be sent what may not leave."""
    seen = locality_of(url) if url else Locality.LOCAL
    locality = table.choice("locality", seen)
    if locality is Locality.LOCAL and url and (vendor := vendor_of(url)):
        table.wrong(f'{vendor} is not in the building: locality must be "cloud"', "locality")
    elif locality is Locality.CLOUD and variable is None and not table.has("api_key_env"):
        local = "" if table.has("locality") else ', or locality = "local" if it stands in the building'
        table.wrong(f"a cloud backend needs api_key_env{local}")
    return locality


def _variable(table: Table) -> str | None:
    """The name of the key's variable. A wrong one is not quoted: it may be the key itself."""
    variable = table.text("api_key_env", None)
    if variable is None or _VARIABLE.fullmatch(variable):
        return variable
    table.wrong(
        "the name of an environment variable is wanted (such as DEEPSEEK_API_KEY), never a key", "api_key_env"
    )
    return None


def _capabilities(table: Table) -> tuple[Capability, ...]:
    known: Mapping[str, Capability] = {str(capability): capability for capability in Capability}
    found: list[Capability] = []
    for index, text in table.texts("capabilities"):
        if text in known:
            found.append(known[text])
        else:
            table.wrong(f'"{text}" is unknown; {allowed(known, text)}', "capabilities", index)
    return tuple(found)
