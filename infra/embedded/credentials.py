"""The first API key, an operator's: made once by `up`, kept where the command line finds it."""

from dataclasses import asdict, dataclass

from infra.embedded.layout import Layout, read_json, write_private_json

TENANT = "default"
KEY_NAME = "first key, made by aither up"


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """How the command line calls the API of this data directory's stack."""

    api_url: str
    api_key: str


def read(layout: Layout) -> Credentials | None:
    """The credentials that `up` left; None before its first run."""
    known = read_json(layout.credentials_file)
    if known is None or not {"api_url", "api_key"} <= known.keys():
        return None
    return Credentials(api_url=known["api_url"], api_key=known["api_key"])


async def ensure(layout: Layout, api_url: str, app_dsn: str) -> Credentials:
    """The credentials of this stack: those kept, if their key is still good, or else fresh ones."""
    from infra.postgres.database import Database
    from infra.postgres.keys import PostgresKeys, Role

    known = read(layout)
    async with Database.connect(app_dsn, 1) as database:
        keys = PostgresKeys(database)
        if known and await keys.authenticate(known.api_key):
            key = known.api_key
        else:
            _, key = await keys.create(TENANT, KEY_NAME, role=Role.OPERATOR)
    good = Credentials(api_url=api_url, api_key=key)
    if good != known:
        write_private_json(layout.credentials_file, asdict(good))
    return good
