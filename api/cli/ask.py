"""`aither ask`: one question, its answer on stdout, everything else on stderr."""

from __future__ import annotations

import json
import sys
import time
from datetime import datetime
from typing import Annotated, Any

import typer

from api.cli.bounds import LocalOnly, MaxUsd
from api.cli.client import ApiUrl, AsJson, Client, DataDir, ExitCode, coloured, fail, find

EPILOG = """Example: aither ask "Why is the sky blue?" --effort 5

Example: git diff | aither ask - --json | jq -r .answer.text

Exit codes: 0 answered, 1 the turn failed, 2 bad input, 3 nothing is running, 4 wrong key, 5 no answer in time \
(the turn goes on), 130 interrupted (the turn is cancelled)."""


def ask(
    question: Annotated[str, typer.Argument(help="What to ask; `-` reads it from standard input.")],
    *,
    stream: Annotated[
        bool | None,
        typer.Option(
            "--stream/--no-stream",
            help="Show the answer as it is written; with --json, one event a line.",
            show_default="on a terminal",
        ),
    ] = None,
    conversation: Annotated[
        str | None, typer.Option("--conversation", "-c", metavar="ID", help="Go on with this conversation.")
    ] = None,
    effort: Annotated[
        int | None,
        typer.Option("--effort", "-e", min=1, max=10, help="How hard to try.", show_default="estimated"),
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="A model's name pins it.", show_default="auto")
    ] = None,
    agent: Annotated[
        str | None, typer.Option("--agent", "-a", metavar="NAME", help="Who is to answer.")
    ] = None,
    local_only: LocalOnly = None,
    max_usd: MaxUsd = None,
    as_json: AsJson = False,
    timeout: Annotated[
        float, typer.Option("--timeout", min=0.1, help="Seconds to wait for the answer.")
    ] = 600,
    api_url: ApiUrl = None,
    data_dir: DataDir = None,
) -> None:
    """Ask a question and print the answer."""
    text = _question(question)
    policy = {"local_only": local_only, "max_usd": max_usd}
    body: dict[str, Any] = {
        "input": text,
        "conversation_id": conversation,
        "effort": effort,
        "model": model,
        "agent": agent,
        "policy": {name: value for name, value in policy.items() if value is not None} or None,
    }
    shows = (sys.stdout.isatty() and not as_json) if stream is None else stream
    with Client(find(api_url, data_dir)) as client:
        asking = Asking(client, as_json=as_json, shows=shows, timeout_s=timeout)
        asking.run({name: value for name, value in body.items() if value is not None})


class Asking:
    """One question on its way: asks, shows, and ends the command."""

    def __init__(self, client: Client, *, as_json: bool, shows: bool, timeout_s: float) -> None:
        self._client = client
        self._as_json = as_json
        self._shows = shows
        self._timeout_s = timeout_s
        self._deadline = time.monotonic() + timeout_s
        self._written = ""
        self._dim, self._off = ("\033[2m", "\033[0m") if coloured(sys.stderr.isatty()) else ("", "")

    def run(self, body: dict[str, Any]) -> None:
        """Asks and follows to the end. An interrupt cancels the turn."""
        began = time.monotonic()
        turn: dict[str, Any] = {}
        try:
            turn = self._client.ask(body, self._deadline)
            for kind, data in self._client.follow(turn["id"], self._deadline):
                self._show(kind, data)
                if kind in {"turn.completed", "turn.failed", "turn.cancelled"}:
                    self._end({**data, "links": turn["links"]}, time.monotonic() - began)
                    return
        except KeyboardInterrupt:
            self._interrupted(turn.get("id"))
        except BrokenPipeError:
            # Whoever read our output has seen enough.
            sys.stderr.close()
            raise typer.Exit(int(ExitCode.DONE)) from None
        self._break_line()
        fail(
            ExitCode.TIMED_OUT,
            f"no answer within {self._timeout_s:g} s; the turn goes on",
            f"see it with: aither turn show {turn['id']}",
        )

    def _show(self, kind: str, data: dict[str, Any]) -> None:
        if kind == "turn.waiting_for_approval" and not (self._as_json and self._shows):
            self._break_line()
            self._note(waits(data))
        if not self._shows:
            return
        if self._as_json:
            _out(json.dumps({"event": kind, "data": data}, ensure_ascii=False) + "\n")
        elif kind == "token":
            _out(data["text"])
            self._written += data["text"]
        elif kind == "hop.restarted" and self._written:
            self._break_line()
            self._note(f"— the answer starts over: {data.get('why', 'another attempt took over')} —")
            self._written = ""

    def _end(self, turn: dict[str, Any], seconds: float) -> None:
        answer = turn["answer"]
        if self._as_json and not self._shows:
            _out(json.dumps(turn, indent=2, ensure_ascii=False) + "\n")
        elif answer and not self._as_json:
            if not self._shows:
                _out(answer["text"])
                self._written = answer["text"]
            self._break_line()
            for call in answer["tool_calls"]:
                _out(f"{call['name']}({call['arguments']})\n")
        else:
            self._break_line()
        if turn["status"] == "failed":
            fail(
                ExitCode.FAILED,
                f"the turn failed: {turn['error']['message']} [{turn['error']['code']}]",
                f"its whole story: aither turn show {turn['id']}",
            )
        if turn["status"] == "cancelled":
            fail(ExitCode.FAILED, f"the turn was cancelled: {turn['id']}")
        if sys.stderr.isatty() and not self._as_json:
            self._note(_footer(turn, seconds))

    def _interrupted(self, turn_id: str | None) -> None:
        self._break_line()
        if turn_id is None:
            fail(ExitCode.INTERRUPTED, "interrupted before the turn was accepted")
        status = self._client.cancel(turn_id)["status"]
        said = "cancelled" if status == "cancelled" else f"the turn is {status}"
        fail(ExitCode.INTERRUPTED, f"interrupted; {said}", f"see it with: aither turn show {turn_id}")

    def _break_line(self) -> None:
        if self._written and not self._written.endswith("\n"):
            _out("\n")
        self._written = ""

    def _note(self, text: str) -> None:
        sys.stderr.write(f"{self._dim}{text}{self._off}\n")


def waits(waiting: dict[str, Any]) -> str:
    """What a turn waits for, and how to say yes or no."""
    until = datetime.fromisoformat(waiting["deadline"]).astimezone()
    return (
        f"— waiting for a person until {until:%H:%M}: {waiting['title']}\n"
        f"  aither approvals approve {waiting['approval_id']}, or deny —"
    )


def _question(given: str) -> str:
    if given != "-":
        text = given
    else:
        if sys.stdin.isatty():
            sys.stderr.write("Type the question, then Ctrl-D.\n")
        text = sys.stdin.buffer.read().decode("utf-8", "replace").removesuffix("\n")
    if not text.strip():
        fail(ExitCode.USAGE, "there is nothing to ask", "give a question, or pipe one to `aither ask -`")
    return text


def _footer(turn: dict[str, Any], seconds: float) -> str:
    usage, route = turn["usage"], turn["route"]
    rung = route[-1]["rung"] if route else "?"
    first = [
        rung,
        turn["answer"]["model"],
        f"{usage['prompt_tokens']} → {usage['completion_tokens']} tokens",
        f"{seconds:.1f} s",
    ]
    second = [f"-c {turn['conversation_id']}"] if turn["conversation_id"] else []
    return f"\n{' · '.join(first)}\n{' · '.join([*second, turn['links']['trace']])}"


def _out(text: str) -> None:
    # A terminal that is not UTF-8 shows a mark instead of ending the command.
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "replace").decode(encoding))
    sys.stdout.flush()
