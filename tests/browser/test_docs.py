"""The API's documentation in a browser."""

from __future__ import annotations

import pytest
from playwright.async_api import expect
from tests.browser.server import Site
from tests.browser.visitor import Visitor

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def test_the_documentation_is_drawn_without_any_other_host(visitor: Visitor, site: Site) -> None:
    await visitor.page.goto(f"{site.url}/docs")
    operation = visitor.page.get_by_role("button", name="POST /v1/sessions Start Session", exact=False).first
    await operation.click()
    await expect(visitor.page.get_by_text("Start a session, or find the one of this").first).to_be_visible()
    await expect(visitor.page.get_by_text("OAS 3.1")).to_be_visible()
    assert visitor.hosts == {f"127.0.0.1:{site.port}"}
