"""Take the README's picture of the page anew, from the real demo: `.venv/bin/python -m tests.browser.screenshot`."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
from pathlib import Path

from playwright.async_api import async_playwright, expect
from tests.browser.conftest import CHROMIUM, chromium_arguments
from tests.browser.visitor import visiting
from tests.factories.server import ready_url

PICTURE = Path(__file__).parents[2] / "docs" / "images" / "page.png"
QUESTIONS = ("When do you open?", "Can I order a birthday cake?")


async def main() -> None:
    """Start the demo on fresh data, ask, and photograph the answers."""
    with tempfile.TemporaryDirectory() as folder:
        demo = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "trunkline", "demo"),
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "TRUNKLINE_DATA_DIR": folder},
        )
        try:
            await photograph(await ready_url(demo))
        finally:
            demo.send_signal(signal.SIGTERM)
            await demo.wait()


async def photograph(url: str) -> None:
    """Ask on the page at `url`, and keep the picture."""
    expect.set_options(timeout=60_000)  # a model is at work
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=chromium_arguments())
        async with visiting(browser, device_scale_factor=1.5) as visitor:
            await visitor.open(url)
            for count, question in enumerate(QUESTIONS, start=1):
                await visitor.ask(question)
                await visitor.answered(count)
            await visitor.page.evaluate("document.activeElement.blur()")
            PICTURE.parent.mkdir(parents=True, exist_ok=True)
            await visitor.page.screenshot(path=PICTURE)
        await browser.close()


if __name__ == "__main__":
    asyncio.run(main())
