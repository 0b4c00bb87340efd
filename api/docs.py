"""`/docs`: the API's reference, readable and to be tried out without any network but this server's."""

from importlib.util import find_spec
from pathlib import Path

from fastapi import FastAPI, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import FileResponse, RedirectResponse

ASSETS = ("swagger-ui-bundle.js", "swagger-ui.css", "favicon.png")
POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Swagger UI starts by a script in the page and styles itself in place; nothing comes from elsewhere."""


def install(app: FastAPI) -> None:
    """Serves Swagger UI from the copy that a package carries; the bare document where that is missing."""
    folder = _folder()

    async def docs() -> Response:
        if folder is None:
            return RedirectResponse(app.openapi_url or "/openapi.json")
        page = get_swagger_ui_html(
            openapi_url=app.openapi_url or "",
            title="Aither API",
            swagger_js_url=f"/docs/{ASSETS[0]}",
            swagger_css_url=f"/docs/{ASSETS[1]}",
            swagger_favicon_url=f"/docs/{ASSETS[2]}",
            swagger_ui_parameters={
                "tryItOutEnabled": True,
                "persistAuthorization": True,
                "docExpansion": "list",
            },
        )
        page.headers["Content-Security-Policy"] = POLICY
        return page

    async def root() -> Response:
        return RedirectResponse("/docs")

    app.add_api_route("/docs", docs, include_in_schema=False)
    app.add_api_route("/", root, include_in_schema=False)
    if folder is not None:
        for name in ASSETS:
            _serve(app, folder / name)


def _serve(app: FastAPI, file: Path) -> None:
    async def asset() -> Response:
        return FileResponse(file, headers={"Cache-Control": "public, max-age=86400"})

    app.add_api_route(f"/docs/{file.name}", asset, include_in_schema=False)


def _folder() -> Path | None:
    """Where the package `fastapi-offline` keeps Swagger UI; its code is not run."""
    spec = find_spec("fastapi_offline")
    return Path(spec.origin).parent / "static" if spec is not None and spec.origin else None
