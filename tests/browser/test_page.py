"""The page at `/`, its files and the API's documentation, by plain HTTP."""

from __future__ import annotations

import gzip
import re
from importlib.resources import files

import httpx2
import pytest
from tests.browser.server import Site

from trunkline.web.page import PageAgent

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def get(site: Site, path: str, **headers: str) -> httpx2.Response:
    """One GET; names of headers with `_` for `-`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with httpx2.AsyncClient(base_url=site.url, trust_env=False) as client:
        return await client.get(path, headers=named)


async def test_the_page_offers_the_agent_of_its_website(site: Site) -> None:
    bakery = await get(site, "/")
    assert f'<trunkline-chat agent="{site.bakery}"' in bakery.text
    assert "It is SmolLM2-135M, and often wrong." in bakery.text
    assert "trunkline agents set bakery" in bakery.text
    assert f'href="{site.clinic_url}/"' in bakery.text
    clinic = await get(site, "/", host=f"localhost:{site.port}")
    assert f'<trunkline-chat agent="{site.clinic}"' in clinic.text
    assert "tiny" not in clinic.text, "there is nothing to say of a model without a note"


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost.evil.example", "127.0.0.1:1", "a b", '"><script>', "user@127.0.0.1:{port}"]
)
async def test_another_host_gets_a_page_without_an_agent(site: Site, host: str) -> None:
    response = await get(site, "/", host=host.format(port=site.port))
    assert response.status_code == 200
    assert "<trunkline-chat" not in response.text
    assert "<script" not in response.text
    assert f'href="{site.url}/"' in response.text
    assert f'href="{site.clinic_url}/"' in response.text


async def test_names_are_text(site: Site) -> None:
    site.app.state.page_agents = [
        PageAgent(site.bakery, "<script>1</script>", (f"127.0.0.1:{site.port}",), "<img src=x>", "<b>"),
    ]
    page = (await get(site, "/")).text
    assert "&lt;script&gt;1&lt;/script&gt;" in page
    assert "<img src=x>" not in page
    assert "<b>" not in page


async def test_without_agents_the_page_says_how_to_make_one(site: Site) -> None:
    site.app.state.page_agents = []
    assert "trunkline agents create" in (await get(site, "/")).text


async def test_the_page_may_load_and_reach_nothing_but_its_server(site: Site) -> None:
    headers = (await get(site, "/")).headers
    policy = dict(rule.strip().split(" ", 1) for rule in headers["content-security-policy"].split(";"))
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "connect-src": "'self'",
        "img-src": "'self' data:",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["referrer-policy"] == "same-origin"
    assert "microphone=()" in headers["permissions-policy"]


async def test_links_of_the_page_lead_to_files_that_never_change(site: Site) -> None:
    for page in ("/", "/docs"):
        links = re.findall(r'(?:src|href)="(static/[^"]+)"', (await get(site, page)).text)
        assert links
        for link in links:
            response = await get(site, f"/{link}")
            assert response.status_code == 200
            assert "immutable" in response.headers["cache-control"]
            assert response.headers["x-content-type-options"] == "nosniff"
    stale = await get(site, "/static/page.css?v=before")
    assert stale.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    ("path", "media_type"),
    [
        ("/static/page.css", "text/css; charset=utf-8"),
        ("/static/docs.js", "text/javascript; charset=utf-8"),
        ("/static/icon.svg", "image/svg+xml"),
        ("/widget.js", "text/javascript; charset=utf-8"),
    ],
)
async def test_files_have_types_and_are_sent_once(site: Site, path: str, media_type: str) -> None:
    plain, packed = await get(site, path, accept_encoding="identity"), await get(site, path, accept_encoding="br, gzip")
    assert plain.headers["content-type"] == packed.headers["content-type"] == media_type
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert plain.content == packed.content
    assert plain.headers["etag"] != packed.headers["etag"]
    for first in (plain, packed):
        encoding = first.headers.get("content-encoding", "identity")
        again = await get(site, path, accept_encoding=encoding, if_none_match=f'"other", W/{first.headers["etag"]}')
        assert again.status_code == 304
        assert again.content == b""
        assert again.headers["etag"] == first.headers["etag"]


@pytest.mark.parametrize("name", ["nothing.js", "page.py", "..%2fpage.py", "%2e%2e/page.py", "../page.py"])
async def test_there_are_no_other_files(site: Site, name: str) -> None:
    response = await get(site, f"/static/{name}")
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"


async def test_the_widget_may_be_loaded_by_any_page(site: Site) -> None:
    headers = (await get(site, "/widget.js", origin="https://shop.example")).headers
    assert headers["access-control-allow-origin"] == "*"
    assert headers["cross-origin-resource-policy"] == "cross-origin"
    assert "max-age=300" in headers["cache-control"]


async def test_the_widget_is_small(site: Site) -> None:
    packed = await get(site, "/widget.js", accept_encoding="gzip")
    assert int(packed.headers["content-length"]) <= 8192
    source = files("trunkline.web.static").joinpath("widget.js").read_bytes()
    assert packed.content == source
    assert len(gzip.compress(source)) <= 8192
