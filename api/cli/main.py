"""`aither`: the table of commands. A command's module is imported when that command runs, so that all start fast."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand, TyperGroup

if TYPE_CHECKING:
    from collections.abc import Callable

COMMANDS = {
    "up": ("api.cli.stack:up", "Start everything, and keep it running until Ctrl-C."),
    "down": ("api.cli.stack:down", "Stop everything that `up` started."),
    "status": (
        "api.cli.stack:status",
        "Show the parts: which are up, where, their memory.",
    ),
    "logs": ("api.cli.stack:logs", "Show what the parts say, one or all."),
    "backup": ("api.cli.backup:backup", "Copy all data of the embedded stack into one file."),
    "restore": ("api.cli.backup:restore", "Make a data directory from a backup."),
    "ask": ("api.cli.ask:ask", "Ask a question and print the answer."),
    "turn": ("api.cli.turns:app", "Look at turns, list them, cancel one."),
    "swarm": ("api.cli.swarm:app", "Give a goal to many agents; show, widen, cancel."),
    "explain": ("api.cli.explain:explain", "Explain a turn's route: who was asked, why, for how much."),
    "pools": ("api.cli.pools:pools", "Show how full the pools are, and how their members do."),
    "queue": ("api.cli.queue:app", "Show what waits, and cancel it."),
    "approvals": ("api.cli.approvals:app", "Decide what people are asked; list, show, withdraw it."),
    "people": ("api.cli.people:app", "Say who may be asked to decide."),
    "webhooks": ("api.cli.webhooks:app", "Say where approvals are told."),
    "gpu": ("api.cli.gpu:app", "Show GPU cards; put them to sleep, wake them, repair them."),
    "burst": ("api.cli.burst:app", "Rent boxes, show what they cost, give them back."),
    "spend": ("api.cli.spend:spend", "Show what was spent, and what it would have cost elsewhere."),
    "memory": ("api.cli.memory:app", "Search what swarms have found."),
    "models": ("api.cli.models:app", "List model files, add some, find where they are to be had."),
    "model": ("api.cli.model:app", "Run vLLM by profile: list, print, serve, check, plan."),
    "services": ("api.cli.services:services", "List the services: which are up, how busy, where."),
    "agent": ("api.cli.agents:app", "Make agents, show them, go back to an earlier version."),
    "key": ("api.cli.keys:app", "Make, list and revoke API keys."),
    "tenant": ("api.cli.tenants:app", "Show and bound what a tenant's turns may do."),
    "db": ("api.cli.db:app", "Apply the database's migrations, show them, check what the product relies on."),
    "telegram": ("api.cli.telegram:app", "Bind people to Telegram, where approvals reach them."),
    "temporal": ("api.cli.temporal:app", "Set Temporal up, show how it stands, roll out builds."),
    "doctor": ("api.cli.doctor:doctor", "Check the backends; drill what happens when they misbehave."),
    "config": ("api.cli.config:app", "Check aither.toml, show what is in force."),
}
"""Where each command is: a function, or a group of commands. The words are its line in `aither --help`."""


class LazyGroup(TyperGroup):
    """A group that knows its commands by name and loads the one that is called."""

    listing = False

    def list_commands(self, ctx: Any) -> list[str]:
        """The commands, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of that name; None where there is none. For the list of commands its words suffice."""
        if cmd_name not in COMMANDS:
            return None
        place, words = COMMANDS[cmd_name]
        return TyperCommand(cmd_name, help=words) if self.listing else load(place, cmd_name)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """The help of the group itself."""
        self.listing = True
        try:
            super().format_help(ctx, formatter)
        finally:
            self.listing = False


def load(place: str, name: str) -> Any:
    """The command or group at `module:attribute`."""
    module, _, attribute = place.partition(":")
    found: typer.Typer | Callable[..., None] = getattr(import_module(module), attribute)
    if isinstance(found, typer.Typer):
        found.rich_markup_mode = None
        return typer.main.get_command(found)
    single = typer.Typer(add_completion=False, rich_markup_mode=None)
    # What a module says under EPILOG ends the help of its command.
    single.command(name, epilog=getattr(import_module(module), "EPILOG", None))(found)
    return typer.main.get_command(single)


app = typer.Typer(
    cls=LazyGroup,
    # Rich help costs as much again as all else that `aither --help` does.
    rich_markup_mode=None,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Answers each question on the least machine that can answer it, and loses nothing.",
)


@app.callback(epilog="Start with `aither up`, then `aither ask`. Every command has its own --help.")
def aither() -> None:
    """Answers each question on the least machine that can answer it, and loses nothing."""


def main() -> None:
    """Runs the command that the arguments name."""
    sys.exit(app(prog_name="aither"))


if __name__ == "__main__":
    main()
