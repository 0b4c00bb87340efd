"""`aither gpu`: GPU cards, who is on them and who holds them; park, wake and repair them."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any
from urllib.parse import quote

import typer

from api.cli.client import ApiUrl, AsJson, Client, DataDir, ExitCode, fail, find

app = typer.Typer(help="Show GPU cards; put them to sleep, wake them, repair them.", no_args_is_help=True)

Card = Annotated[str, typer.Argument(metavar="CARD", help="The card as HOST/NUMBER, such as gpu-box/0.")]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Return as soon as the card knows what is wanted.")]
Patience = Annotated[
    float, typer.Option("--timeout", metavar="SECONDS", min=0.1, help="How long to wait for it.")
]


@app.command(name="list", epilog="Example: aither gpu list")
def list_cards(as_json: AsJson = False, api_url: ApiUrl = None, data_dir: DataDir = None) -> None:
    """List the cards. Their VRAM, who is on them, how many hold and wait, what is wrong."""
    with Client(find(api_url, data_dir)) as client:
        seen = client.get("/v1/gpu/cards")
    if as_json:
        _print_json(seen)
        return
    from api.cli.gpu_view import print_cards

    print_cards(seen)


@app.command(epilog="Example: aither gpu show gpu-box/0")
def show(card: Card, as_json: AsJson = False, api_url: ApiUrl = None, data_dir: DataDir = None) -> None:
    """Show a card with its residents, its holds, and who waits for it."""
    place = _place(card)
    with Client(find(api_url, data_dir)) as client:
        seen = client.get(place)
    if as_json:
        _print_json(seen)
        return
    from api.cli.gpu_view import print_card

    print_card(seen)


@app.command(epilog="Example: aither gpu sleep gpu-box/0")
def sleep(
    card: Card,
    *,
    no_wait: NoWait = False,
    timeout: Patience = 900.0,
    as_json: AsJson = False,
    api_url: ApiUrl = None,
    data_dir: DataDir = None,
) -> None:
    """Park a card. Its residents leave or sleep, nobody gets a hold, and calls go elsewhere."""
    _steer(
        card, "sleep", find_with=(api_url, data_dir), timeout=None if no_wait else timeout, as_json=as_json
    )


@app.command(epilog="Example: aither gpu wake gpu-box/0 --timeout 120")
def wake(
    card: Card,
    *,
    no_wait: NoWait = False,
    timeout: Patience = 900.0,
    as_json: AsJson = False,
    api_url: ApiUrl = None,
    data_dir: DataDir = None,
) -> None:
    """Wake a parked card. The residents that come with it come back, one after the other."""
    _steer(card, "wake", find_with=(api_url, data_dir), timeout=None if no_wait else timeout, as_json=as_json)


@app.command(epilog="Example: aither gpu repair gpu-box/0")
def repair(
    card: Card,
    *,
    no_wait: NoWait = False,
    timeout: Patience = 900.0,
    as_json: AsJson = False,
    api_url: ApiUrl = None,
    data_dir: DataDir = None,
) -> None:
    """Repair a card. Its host finds out what is true; what does not fit together is put right."""
    _steer(
        card, "repair", find_with=(api_url, data_dir), timeout=None if no_wait else timeout, as_json=as_json
    )


def _steer(card: str, wish: str, *, find_with: tuple[Any, Any], timeout: float | None, as_json: bool) -> None:
    """Tells the card, and shows how it gets there; ends the command where it does not."""
    from api.cli.gpu_progress import Ended, followed

    place = _place(card)
    with Client(find(*find_with)) as client:
        seen = client.post(f"{place}/{wish}", None)
        if timeout is not None:
            try:
                ended, seen = followed(lambda: client.get(place), seen, wish, timeout=timeout, quiet=as_json)
            except KeyboardInterrupt:
                fail(
                    ExitCode.INTERRUPTED,
                    f"{card} goes on by itself",
                    f"`aither gpu show {card}` tells how far",
                )
            if as_json:
                _print_json(seen)
            if ended is Ended.FAILED:
                fail(
                    ExitCode.FAILED,
                    f"{card}: {seen['problem']}",
                    f"`aither gpu repair {card}` tries to mend it",
                )
            if ended is Ended.LATE:
                fail(
                    ExitCode.TIMED_OUT,
                    f"{card} is not there yet",
                    f"`aither gpu show {card}` tells how far it is",
                )
        elif as_json:
            _print_json(seen)
    if not as_json:
        from api.cli.gpu_view import print_steered

        print_steered(seen, wish, waited=timeout is not None)


def _place(card: str) -> str:
    host, _, index = card.rpartition("/")
    if not host or not index.isdecimal():
        fail(
            ExitCode.USAGE,
            f"{card!r} is no card: one is HOST/NUMBER, such as gpu-box/0",
            "see `aither gpu list`",
        )
    return f"/v1/gpu/cards/{quote(host, safe='')}/{index}"


def _print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
