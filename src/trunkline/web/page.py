"""The page at `/`, the widget, their files, and the API's documentation. None of it asks another host for anything."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from uuid import UUID

import jinja2
from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response

from trunkline.agents.websites import website_of_origin
from trunkline.errors import NotFound

router = APIRouter(include_in_schema=False)

_TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
# Where each file lies: ours, and Swagger UI's as a package on PyPI carries them.
_PLACES = {
    "docs.js": "trunkline.web.static",
    "icon.svg": "trunkline.web.static",
    "page.css": "trunkline.web.static",
    "widget.js": "trunkline.web.static",
    "swagger-ui-bundle.js": "fastapi_swagger.resources",
    "swagger-ui.css": "fastapi_swagger.resources",
}

_POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "connect-src": "'self'",
    "img-src": "'self' data:",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
}
# No string ever becomes markup or code on our page. Swagger UI writes markup itself and sets style attributes.
_PAGE_POLICY = _POLICY | {"require-trusted-types-for": "'script'", "trusted-types": "'none'"}
_DOCS_POLICY = _POLICY | {"style-src": "'self' 'unsafe-inline'"}

_HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True, slots=True)
class PageAgent:
    """An agent that the page offers. The application keeps them in `app.state.page_agents`."""

    agent_id: UUID
    name: str
    websites: tuple[str, ...]
    """Hosts, each with its port where that isn't the scheme's own, as `trunkline.agents.websites` writes them."""
    model_note: str
    """What to expect of a model that is only a beginning; empty where a real one answers."""
    slug: str = "SLUG"
    """How the command line calls it."""


@dataclass(frozen=True, slots=True)
class Site:
    """An agent on one of its websites, as a link."""

    name: str
    website: str
    url: str


@dataclass(frozen=True, slots=True)
class Asset:
    """A file as it is served."""

    content: bytes
    compressed: bytes
    media_type: str
    digest: str
    """Of the content: the ETag, and the version in links."""

    def response(self, request: Request, headers: Mapping[str, str]) -> Response:
        """The file, compressed where the browser takes that; 304 where the browser has it already."""
        is_gzip = "gzip" in request.headers.get("accept-encoding", "")
        etag = f'"{self.digest}-gzip"' if is_gzip else f'"{self.digest}"'
        headers = {"ETag": etag, "Vary": "Accept-Encoding", "X-Content-Type-Options": "nosniff", **headers}
        known = (tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(","))
        if etag in known:
            return Response(status_code=304, headers=headers)
        if is_gzip:
            return Response(self.compressed, headers=headers | {"Content-Encoding": "gzip"}, media_type=self.media_type)
        return Response(self.content, headers=headers, media_type=self.media_type)


@cache
def load_asset(name: str) -> Asset:
    """Read one of our files, once.

    Raises:
        NotFound: we have no file of this name.
    """
    if name not in _PLACES:
        raise NotFound(f"There is no file '{name[:100]}' here.")
    content = files(_PLACES[name]).joinpath(name).read_bytes()
    digest = hashlib.sha256(content).hexdigest()[:16]
    return Asset(content, gzip.compress(content, mtime=0), _TYPES[name.rpartition(".")[2]], digest)


def _asset_link(name: str) -> str:
    return f"static/{name}?v={load_asset(name).digest}"


_templates = jinja2.Environment(
    loader=jinja2.PackageLoader("trunkline.web"), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
)


@router.get("/")
def page(request: Request) -> HTMLResponse:
    """The agent of the website by which this server was reached, or the websites that have one."""
    agents: Sequence[PageAgent] = request.app.state.page_agents
    host = _website(request)
    agent = next((agent for agent in agents if host in agent.websites), None)
    scheme = request.url.scheme
    others = [
        Site(other.name, website, f"{scheme}://{website}/")
        for other in agents
        if other is not agent
        for website in other.websites
    ]
    base_url = f"{scheme}://{host}{request.scope.get('root_path', '')}"
    return _render("page.html", _PAGE_POLICY, agent=agent, host=host, others=others, base_url=base_url)


@router.get("/docs")
def docs(request: Request) -> HTMLResponse:
    """The API's documentation, drawn by Swagger UI."""
    title, openapi_url = request.app.title, str(request.app.openapi_url).lstrip("/")
    return _render("docs.html", _DOCS_POLICY, title=title, openapi_url=openapi_url)


@router.get("/widget.js")
def widget(request: Request) -> Response:
    """The chat element. Any page may load it; which pages may talk to an agent, the agent says."""
    headers = {
        "Access-Control-Allow-Origin": "*",
        "Cache-Control": "public, max-age=300, stale-while-revalidate=86400",
        "Cross-Origin-Resource-Policy": "cross-origin",
    }
    return load_asset("widget.js").response(request, headers)


@router.get("/static/{name}")
def static(request: Request, name: str) -> Response:
    """A file of the page. Under the link with its version it never changes."""
    asset = load_asset(name)
    is_versioned = request.query_params.get("v") == asset.digest
    lifetime = "public, max-age=31536000, immutable" if is_versioned else "no-cache"
    return asset.response(request, {"Cache-Control": lifetime, "Cross-Origin-Resource-Policy": "same-origin"})


def _website(request: Request) -> str | None:
    """The website that the browser's address bar names; None where the Host header is missing or malformed."""
    return website_of_origin(f"{request.url.scheme}://{request.headers.get('host', '')}")


def _render(template: str, policy: Mapping[str, str], **values: object) -> HTMLResponse:
    html = _templates.get_template(template).render(asset=_asset_link, **values)
    written = "; ".join(f"{name} {value}" for name, value in policy.items())
    return HTMLResponse(html, headers={**_HEADERS, "Content-Security-Policy": written})
