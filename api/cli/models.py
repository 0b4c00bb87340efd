"""`aither models`: which model files are known, where they are to be had, and new ones."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from api.cli.client import ApiUrl, AsJson, Client, DataDir, ExitCode, data_dir, fail, find

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Model files: aither://models/<shared or a tenant>/<folder>/<name>.",
    epilog="Example: aither models add aither://models/shared/qwen3/config.json --hf Qwen/Qwen3-8B:config.json",
)
PATH = "/v1/model-files"
Uri = Annotated[str, typer.Argument(help="aither://models/<shared or a tenant>/<folder>/<name>")]


@app.command("add")
def add(
    uri: Uri,
    *,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", help="The file; copied into the models directory here.")
    ] = None,
    object_key: Annotated[
        str | None,
        typer.Option("--object", help="Its key in the bucket, where it is already; nothing is copied."),
    ] = None,
    hf: Annotated[str | None, typer.Option("--hf", help="OWNER/REPO[@COMMIT]:PATH at Hugging Face.")] = None,
    civitai: Annotated[str | None, typer.Option("--civitai", help="VERSION[:FILE] at CivitAI.")] = None,
    sha256: Annotated[str | None, typer.Option("--sha256", help="Where nobody else tells it.")] = None,
    size: Annotated[
        int | None, typer.Option("--size", help="In bytes; where nobody else tells it.", min=1)
    ] = None,
    api_url: ApiUrl = None,
    data: DataDir = None,
) -> None:
    """Make a file known: from this machine, in the bucket, or at its publisher (or all of these)."""
    if hf and civitai:
        fail(ExitCode.USAGE, "a file has one publisher: --hf or --civitai")
    if file is not None:
        size, sha256 = _measured(file, sha256)
    body = {
        "uri": uri,
        "size_bytes": size,
        "sha256": sha256,
        "object_key": object_key,
        "public": _published(hf, civitai),
    }
    with Client(find(api_url, data)) as client:
        known = client.put(PATH, {name: value for name, value in body.items() if value is not None})
    if file is not None and object_key is None:
        _copied(uri, file, data_dir(data))
    sys.stdout.write(f"{known['uri']} is known: {known['size_bytes']} bytes, sha256 {known['sha256']}\n")


@app.command("list")
def list_(*, as_json: AsJson = False, api_url: ApiUrl = None, data: DataDir = None) -> None:
    """List the files: shared ones, and your tenant's own."""
    with Client(find(api_url, data)) as client:
        found: list[dict[str, Any]] = client.get(PATH)["data"]
    if as_json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
        return
    if not found:
        sys.stdout.write("no model files are known; `aither models add` makes some\n")
    for each in found:
        places = [f"bucket {each['object_key']}"] if each["object_key"] else []
        places += [each["public"]] if each["public"] else []
        sys.stdout.write(
            f"{each['uri']}  {each['size_bytes'] / 1e9:.3f} GB  {', '.join(places) or 'directory'}\n"
        )


@app.command("resolve")
def resolve(
    uris: Annotated[list[str], typer.Argument(help="Files, or folders with a slash at their end.")],
    *,
    external: Annotated[bool, typer.Option("--external", help="As a rented box would be told.")] = False,
    urls: Annotated[
        bool, typer.Option("--urls", help="Show the URLs; they are secrets while they are good.")
    ] = False,
    as_json: AsJson = False,
    api_url: ApiUrl = None,
    data: DataDir = None,
) -> None:
    """Show where files are to be had now, the first to be tried first. Fails where one is not to be had."""
    with Client(find(api_url, data)) as client:
        found = client.post(f"{PATH}/resolve", {"uris": uris, "external": external, "urls": urls})
    if as_json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
    else:
        for file in found["files"]:
            sys.stdout.write(f"{file['uri']}  {file['size_bytes'] / 1e9:.3f} GB\n")
            for source in file["sources"]:
                sys.stdout.write(f"  {source['tier']}: {source['url'] or source['host']}\n")
            for skipped in file["skipped"]:
                sys.stdout.write(f"  {skipped['tier']}: no, {skipped['why']}\n")
    if found["missing"]:
        lost = "; ".join(f"{each['uri']}: {each['why']}" for each in found["missing"])
        fail(ExitCode.FAILED, f"not to be had: {lost}")


def _measured(file: Path, said: str | None) -> tuple[int, str]:
    try:
        with file.open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
        size = file.stat().st_size
    except OSError as error:
        fail(ExitCode.USAGE, f"{file} cannot be read: {error.strerror}")
    if said is not None and said != digest:
        fail(ExitCode.USAGE, f"{file} has the SHA-256 {digest}, not the one that was said")
    return size, digest


def _copied(uri: str, file: Path, root: Path) -> None:
    from activities.contracts.models import ModelAddress
    from infra.models.strata import Strata
    from infra.settings import settings

    configured = settings().models_dir or root / "models"
    try:
        Strata(configured, "", None).put(ModelAddress.read(uri), file)
    except OSError as error:
        fail(ExitCode.FAILED, f"{file} cannot be copied to {configured}: {error.strerror}")


def _published(hf: str | None, civitai: str | None) -> dict[str, str] | None:
    if hf:
        repo, _, path = hf.partition(":")
        name, _, revision = repo.partition("@")
        if not path or "/" not in name:
            fail(ExitCode.USAGE, f"--hf {hf}: is written OWNER/REPO[@COMMIT]:PATH")
        return {"hub": "hugging_face", "repo": name, "revision": revision, "path": path}
    if civitai:
        version, _, wanted = civitai.partition(":")
        return {"hub": "civitai", "repo": version, "path": wanted}
    return None
