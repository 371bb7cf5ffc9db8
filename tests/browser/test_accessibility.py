"""What axe-core finds on the page: nothing, in every state and color."""

from __future__ import annotations

from typing import Any

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.async_api import Browser, expect
from tests.browser.server import Site
from tests.browser.visitor import Visitor, visiting

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "has_touch": True, "is_mobile": True}
DESK: dict[str, Any] = {}


async def findings(visitor: Visitor) -> list[str]:
    """Each violation of a rule, with the elements that break it."""
    # Given to the debugger rather than to the page, so that the page's policy stays as strict as it is.
    await visitor.page.evaluate(AXE_SCRIPT)
    found = await visitor.page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
    assert found["passes"], "axe looked at nothing"
    return [f"{rule['id']}: {node['html']} {node['any']}" for rule in found["violations"] for node in rule["nodes"]]


@pytest.mark.parametrize("device", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("colors", ["light", "dark"])
async def test_axe_finds_nothing(chromium: Browser, site: Site, colors: str, device: dict[str, Any]) -> None:
    site.speak("fail-after-5")
    async with visiting(chromium, color_scheme=colors, **device) as visitor:
        await visitor.open(site.url)
        assert await findings(visitor) == [], "with nothing said yet"
        await visitor.ask("What goes wrong?")
        await expect(visitor.error).to_be_visible()
        assert await findings(visitor) == [], "with an error"
        site.speak("echo@30ms")
        await visitor.page.get_by_role("button", name="New conversation").click()
        await expect(visitor.questions).to_have_count(0)
        await visitor.is_ready()
        await visitor.ask("one two three " * 20)
        await visitor.speaks(20)
        assert await findings(visitor) == [], "while it answers"
        await visitor.answered(1)
        assert await findings(visitor) == [], "with an answer"
        overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert await visitor.page.evaluate(overflow) == 0


async def test_axe_sees_into_the_chat(visitor: Visitor, site: Site) -> None:
    await visitor.open(site.url)
    await visitor.ask_shadow("root.querySelector('textarea').removeAttribute('aria-label')")
    await visitor.ask_shadow(
        "['title', 'placeholder'].map((name) => root.querySelector('textarea').removeAttribute(name))"
    )
    assert any("label: <textarea" in finding for finding in await findings(visitor))
