"""Debian's Chromium against the real server, on a database of its own."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright, expect
from tests.browser.server import Site, Unkind, street, unkind
from tests.browser.visitor import Visitor, visiting

NAMES = (os.environ.get("CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
# It asks no server of its maker for anything, so that every request seen is one of the page's.
QUIET = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
)


def chromium_arguments() -> list[str]:
    """Root has no sandbox."""
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    return [*QUIET, *(["--no-sandbox"] if is_root else [])]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium() -> AsyncGenerator[Browser]:
    """One browser for all tests; each visitor has a fresh profile in it."""
    if CHROMIUM is None:
        pytest.skip(
            "There is no Chromium here. Install one (Debian: apt install chromium), or set CHROMIUM to its path."
        )
    expect.set_options(timeout=15_000)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=chromium_arguments())
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def site(owner_url: str, login_url: str) -> AsyncGenerator[Site]:
    """The server. Its agents answer with the question (`echo`) until a test lets them speak otherwise."""
    async with street(owner_url, login_url) as site:
        yield site


@pytest_asyncio.fixture(loop_scope="session")
async def proxy(site: Site) -> AsyncGenerator[Unkind]:
    """The same server behind a proxy that treats connections as a test says."""
    async with unkind(site) as proxy:
        yield proxy


@pytest_asyncio.fixture(loop_scope="session")
async def visitor(site: Site, chromium: Browser) -> AsyncGenerator[Visitor]:  # noqa: ARG001  leaves before the server does
    """Somebody at a desk. What goes wrong in the browser fails the test at its end."""
    async with visiting(chromium) as visitor:
        yield visitor
