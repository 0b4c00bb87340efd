"""`aither telegram`: who decides approvals on Telegram, straight in the database, like keys."""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli.client import AsJson, DataDir, ExitCode, fail
from api.cli.database import with_database
from api.cli.keys import DEFAULT_TENANT, Tenant

if TYPE_CHECKING:
    from infra.postgres.database import Database
    from infra.telegram.access import BotAccess

app = typer.Typer(help="Bind people to Telegram, where approvals reach them.", no_args_is_help=True)

LOOK_S = 5.0

Person = Annotated[
    str | None,
    typer.Argument(metavar="PERSON", help="Who, as `aither people list` shows it.", show_default=False),
]
Group = Annotated[
    int | None,
    typer.Option("--group", metavar="ID", help="A group that gets the tenant's cards, instead of a person."),
]


@app.command(epilog="Example: aither telegram bind ann")
def bind(
    person: Person = None,
    tenant: Tenant = DEFAULT_TENANT,
    minutes: Annotated[int, typer.Option(min=1, max=1440, help="For how long the code is good.")] = 15,
    *,
    group: Group = None,
    time_zone: Annotated[str, typer.Option(help="The clock of a group's cards.")] = "UTC",
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Print a code that binds the account from which it is sent to the bot, once; or let a group get cards."""
    from infra.postgres.telegram import PostgresTelegram

    access = _access()
    if (person is None) == (group is None):
        fail(ExitCode.USAGE, "name a person, or a group with --group")
    if group is not None:
        _bind_group(access, tenant, group, time_zone, data_dir)
        return
    assert person is not None
    name = person
    code = with_database(
        data_dir,
        tenant,
        lambda database: PostgresTelegram(database).offer(tenant, name, timedelta(minutes=minutes)),
    )
    bot = asyncio.run(_bot_name(access)) if access else None
    link = f"https://t.me/{bot}?start={code}" if bot else None
    if as_json:
        _print_json({"person": name, "tenant": tenant, "code": code, "link": link, "minutes": minutes})
        return
    sys.stdout.write(f"{code}\n")
    way = (
        f"open {link}, or send the code to @{bot}" if link else "send the code to the bot, in a private chat"
    )
    sys.stderr.write(f"{name} of {tenant}: {way}; good for {minutes} minutes, once\n")
    if access is None:
        sys.stderr.write("no bot is configured yet: set AITHER_TELEGRAM_TOKEN where the workers run\n")


@app.command(epilog="Example: aither telegram status")
def status(tenant: Tenant = DEFAULT_TENANT, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Show the bot, who reads its updates, and which people and groups of a tenant are bound."""
    from infra.settings import settings

    access = _access()
    found = with_database(data_dir, tenant, lambda database: _seen(database, access, tenant))
    seen: dict[str, Any] = {"mode": settings().telegram_mode if access else None, **found}
    if as_json:
        _print_json(seen)
        return
    bot = seen["bot"]
    if access is None:
        lines = ["no bot is configured: set AITHER_TELEGRAM_TOKEN"]
    else:
        name = f"@{bot}" if bot else "Telegram does not answer, or knows no such bot"
        lines = [f"{name}, by {seen['mode']}; {seen['waiting']} updates wait"]
        lines.append(
            f"led by {seen['leader']}"
            if seen["leader"]
            else "no worker leads: is the fleet telegram running?"
        )
    for each in seen["people"]:
        trouble = "; has blocked the bot" if each["blocked_at"] else ""
        lines.append(
            f"{each['person']}: {each['account']} ({each['user_id']}), since {each['bound_at'][:10]}{trouble}"
        )
    for each in seen["groups"]:
        lines.append(
            f"group {each['chat_id']}: {each['time_zone']}" + ("" if each["allowed"] else "; NOT ALLOWED")
        )
    if not seen["people"]:
        lines.append(f"nobody of {tenant} is bound; `aither telegram bind PERSON` gives a code")
    sys.stdout.write("\n".join(lines) + "\n")


@app.command(epilog="Example: aither telegram unbind ann")
def unbind(
    person: Person = None, tenant: Tenant = DEFAULT_TENANT, *, group: Group = None, data_dir: DataDir = None
) -> None:
    """Release a person's account: it decides nothing any more, at once. Or stop a group's cards."""
    from infra.postgres.telegram import PostgresTelegram

    if (person is None) == (group is None):
        fail(ExitCode.USAGE, "name a person, or a group with --group")

    async def work(database: Database) -> None:
        bindings = PostgresTelegram(database)
        if person is not None:
            await bindings.unbind(tenant, person)
        elif group is not None:
            await bindings.remove_group(tenant, group)

    with_database(data_dir, tenant, work)
    sys.stdout.write(f"released {person or f'the group {group}'} of {tenant}\n")


def _bind_group(access: BotAccess | None, tenant: str, group: int, time_zone: str, data_dir: Any) -> None:
    from infra.postgres.telegram import PostgresTelegram

    if group >= 0:
        fail(ExitCode.USAGE, f"--group: the id of a group is negative, {group} is not")
    if access is not None and group not in access.groups:
        fail(ExitCode.USAGE, f"the group {group} is not allowed; add it to AITHER_TELEGRAM_GROUPS first")
    if not _is_zone(time_zone):
        fail(ExitCode.USAGE, f"--time-zone: there is no {time_zone!r}; one is called Europe/Berlin")
    with_database(
        data_dir, tenant, lambda database: PostgresTelegram(database).add_group(tenant, group, time_zone)
    )
    sys.stdout.write(f"the group {group} gets the cards of {tenant}\n")


async def _seen(database: Database, access: BotAccess | None, tenant: str) -> dict[str, Any]:
    from infra.postgres.telegram import PostgresTelegram
    from infra.postgres.telegram_updates import PostgresTelegramUpdates

    bindings = PostgresTelegram(database)
    updates = PostgresTelegramUpdates(database, access.bot_id) if access else None
    return {
        "bot": await _bot_name(access) if access else None,
        "leader": await updates.leader() if updates else None,
        "waiting": await updates.waiting() if updates else 0,
        "people": [
            {
                "person": each.person,
                "user_id": each.user_id,
                "account": each.account,
                "bound_at": each.bound_at.isoformat(),
                "blocked_at": each.blocked_at.isoformat() if each.blocked_at else None,
            }
            for each in await bindings.bindings(tenant)
        ],
        "groups": [
            {
                "chat_id": each.chat_id,
                "time_zone": each.time_zone,
                "allowed": access is not None and each.chat_id in access.groups,
            }
            for each in await bindings.groups(tenant)
        ],
    }


def _access() -> BotAccess | None:
    from infra.config.mistakes import ConfigError
    from infra.settings import settings
    from infra.telegram.access import bot_access

    try:
        return bot_access(settings())
    except ConfigError as error:
        fail(ExitCode.USAGE, str(error))


async def _bot_name(access: BotAccess) -> str | None:
    """What the bot is called; None where Telegram does not say."""
    from activities.errors import AitherError
    from infra.telegram.client import open_bot, translated

    try:
        async with asyncio.timeout(LOOK_S), open_bot(access.token, access.api_url) as bot:
            with translated():
                return (await bot.get_me()).username
    except (AitherError, TimeoutError):
        return None


def _is_zone(name: str) -> bool:
    from zoneinfo import ZoneInfo

    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return False
    return True


def _print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
