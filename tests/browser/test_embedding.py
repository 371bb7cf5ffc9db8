"""The widget on customers' pages: another website, strict rules, several chats."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import Browser, expect
from tests.browser.server import Site
from tests.browser.visitor import Visitor, visiting
from tests.factories import loopback

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


@asynccontextmanager
async def customers_page(site: Site, body: str) -> AsyncGenerator[str]:
    """A page of another website that lets nothing in but the widget; yields its address."""
    policy = (
        f"default-src 'none'; script-src {site.url}; connect-src {site.url}; img-src data:;"
        " require-trusted-types-for 'script'; trusted-types 'none'"
    )
    html = (
        f'<!doctype html><html lang="en"><title>Shop</title><link rel="icon" href="data:,"><h1>Shop</h1>'
        f'<script type="module" src="{site.url}/widget.js"></script>{body}'
    )

    async def handle(request: loopback.Request, writer: asyncio.StreamWriter) -> None:
        status = 200 if request.path == "/" else 404
        headers = {"Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": policy}
        await loopback.respond(writer, status, html.encode(), headers)

    async with loopback.serve(handle) as server:
        yield f"http://127.0.0.1:{server.port}"


async def test_a_chat_opens_on_a_page_with_strict_rules(visitor: Visitor, site: Site) -> None:
    async with customers_page(site, f'<trunkline-chat agent="{site.bakery}"></trunkline-chat>') as url:
        site.allow(url.removeprefix("http://"))
        await visitor.page.goto(url)
        assert site.sessions() == {}, "nobody has opened the chat"
        launch = visitor.page.get_by_role("button", name="Open the chat")
        await launch.click()
        await visitor.is_ready()
        await expect(visitor.input).to_be_focused()
        await expect(visitor.page.get_by_role("dialog", name="Corner Bakery")).to_be_visible()
        await visitor.ask("Hello from the shop")
        await visitor.answered(1)
        await visitor.page.keyboard.press("Escape")
        await expect(visitor.input).to_be_hidden()
        await expect(launch).to_be_focused()
        await visitor.page.reload()
        await launch.click()
        await expect(visitor.questions).to_have_text(["Hello from the shop"])
        assert visitor.hosts == {url.removeprefix("http://"), f"127.0.0.1:{site.port}"}


async def test_on_a_phone_the_chat_fills_the_screen(chromium: Browser, site: Site) -> None:
    async with (
        customers_page(site, f'<trunkline-chat agent="{site.bakery}"></trunkline-chat>') as url,
        visiting(chromium, viewport={"width": 390, "height": 844}) as visitor,
    ):
        site.allow(url.removeprefix("http://"))
        await visitor.page.goto(url)
        await visitor.page.get_by_role("button", name="Open the chat").click()
        box = await visitor.page.get_by_role("dialog").bounding_box()
        assert box == {"x": 0, "y": 0, "width": 390, "height": 844}
        await visitor.page.get_by_role("button", name="Close the chat").click()
        await expect(visitor.page.get_by_role("dialog")).to_be_hidden()


async def test_several_chats_live_on_one_page_and_one_that_may_not_harms_none(visitor: Visitor, site: Site) -> None:
    visitor.expected_failures = ("403 (Forbidden)", "422 (Unprocessable Entity)")
    chats = "".join(
        f'<trunkline-chat id="{name}" agent="{agent}" position="inline"></trunkline-chat>'
        for name, agent in {"bakery": site.bakery, "clinic": site.clinic, "nobody": "", "unknown": "42"}.items()
    )
    async with customers_page(site, chats) as url:
        website = url.removeprefix("http://")
        site.allow(website)
        await visitor.page.goto(url)
        bakery, clinic, nobody, unknown = (
            visitor.page.locator(f"#{name}") for name in ("bakery", "clinic", "nobody", "unknown")
        )
        await expect(clinic.get_by_role("alert")).to_contain_text(website)
        await expect(nobody.get_by_role("alert")).to_contain_text('This chat has no agent: set the attribute "agent".')
        await expect(unknown.get_by_role("alert")).to_contain_text("agent_id")
        await expect(bakery.get_by_role("button", name="Send")).to_be_enabled()
        await bakery.get_by_role("textbox").fill("Two rolls")
        await bakery.get_by_role("textbox").press("Enter")
        await expect(bakery.locator(".assistant .meta")).to_be_visible()
        site.serve(site.clinic, website)
        await clinic.get_by_role("button", name="Retry").click()
        await expect(clinic.get_by_role("button", name="Send")).to_be_enabled()
        await clinic.get_by_role("textbox").fill("A doctor")
        await clinic.get_by_role("textbox").press("Enter")
        await expect(clinic.locator(".assistant .text")).to_have_text("A doctor")
        await expect(bakery.locator(".user .text")).to_have_text("Two rolls")
        assert await visitor.page.evaluate("Object.keys(window).filter((name) => /trunk|chat/i.test(name))") == []


async def test_a_chat_that_moves_or_changes_its_agent_goes_on(visitor: Visitor, site: Site) -> None:
    await visitor.open(site.url)
    await visitor.ask("Stay")
    await visitor.answered(1)
    await visitor.page.evaluate("document.body.append(document.querySelector('trunkline-chat'))")
    await visitor.is_ready()
    await expect(visitor.questions).to_have_text(["Stay"])
    site.serve(site.clinic, f"127.0.0.1:{site.port}")
    change = "(id) => document.querySelector('trunkline-chat').setAttribute('agent', id)"
    await visitor.page.evaluate(change, str(site.clinic))
    await expect(visitor.page.get_by_role("region", name="City Clinic")).to_be_visible()
    await expect(visitor.questions).to_have_count(0)
    await visitor.page.evaluate(change, str(site.bakery))
    await expect(visitor.questions).to_have_text(["Stay"])


async def test_the_settings_of_the_agent_dress_the_chat_and_attributes_win(visitor: Visitor, site: Site) -> None:
    config = {"title": "Bread counter", "accent_color": "#ffe600", "theme": "dark", "position": "bottom-left"}
    site.publish(site.bakery, widget_config=config)
    await visitor.open(site.url)
    region = visitor.page.get_by_role("region", name="Bread counter")
    await expect(region).to_be_visible()
    await expect(region).to_have_css("background-color", "rgb(22, 25, 29)")
    send = visitor.page.get_by_role("button", name="Send", exact=True)
    await expect(send).to_have_css("background-color", "rgb(255, 230, 0)")
    await expect(send).to_have_css("color", "rgb(0, 0, 0)")
    await visitor.page.evaluate("document.querySelector('trunkline-chat').removeAttribute('position')")
    left = await visitor.page.get_by_role("dialog", name="Bread counter").bounding_box()
    assert left is not None
    assert left["x"] < 100
