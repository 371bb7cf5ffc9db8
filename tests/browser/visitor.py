"""A visitor of a page: what one does with the chat, and all that went wrong meanwhile."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Error, Locator, Page, Request, expect

_LISTEN = """
addEventListener('securitypolicyviolation', (event) =>
  console.error(`policy violated: ${event.violatedDirective} ${event.blockedURI}`));
"""


@dataclass  # without slots: Playwright keeps its handlers as attributes here
class Visitor:
    """One page in a fresh profile."""

    context: BrowserContext
    page: Page
    expected_failures: tuple[str, ...] = ()
    """Parts of console messages that a test provokes: the browser reports failed requests there."""
    _problems: list[str] = field(default_factory=list[str])
    _hosts: set[str] = field(default_factory=set[str])

    def listen(self) -> None:
        """Note errors, broken rules and every host that is asked for something."""
        self.page.on("console", self._console)
        self.page.on("pageerror", self._error)
        self.page.on("request", self._request)

    @property
    def problems(self) -> list[str]:
        """Errors and broken rules that no test provoked."""
        return [text for text in self._problems if not any(part in text for part in self.expected_failures)]

    @property
    def hosts(self) -> set[str]:
        """Every host, with its port, that the page asked for something."""
        return self._hosts

    @property
    def input(self) -> Locator:
        """Where one writes."""
        return self.page.get_by_role("textbox", name="Your message")

    @property
    def questions(self) -> Locator:
        """What was asked."""
        return self.page.locator("trunkline-chat .user .text")

    @property
    def answers(self) -> Locator:
        """What was answered, the greeting first where there is one."""
        return self.page.locator("trunkline-chat .assistant .text")

    @property
    def facts(self) -> Locator:
        """The line under the latest answer."""
        return self.page.locator("trunkline-chat .assistant .meta").last

    @property
    def error(self) -> Locator:
        """What went wrong, as it is told."""
        return self.page.get_by_role("alert")

    @property
    def stop(self) -> Locator:
        """There while an answer comes."""
        return self.page.get_by_role("button", name="Stop the answer")

    @property
    def footer(self) -> Locator:
        """Says the session and its website."""
        return self.page.locator("trunkline-chat footer")

    async def open(self, url: str) -> None:
        """Go to a page with an open chat."""
        await self.page.goto(url)
        await self.is_ready()

    async def is_ready(self) -> None:
        """Wait until the chat takes a message."""
        await expect(self.page.get_by_role("button", name="Send", exact=True)).to_be_enabled()

    async def ask(self, question: str) -> None:
        """Write something and send it."""
        await self.input.fill(question)
        await self.input.press("Enter")

    async def answered(self, count: int) -> None:
        """Wait for so many answers, the last of them whole."""
        await expect(self.page.locator("trunkline-chat .assistant .meta")).to_have_count(count)
        await expect(self.stop).to_be_hidden()

    async def speaks(self, characters: int) -> str:
        """Wait until so much of an answer is there and more is coming; returns what is there."""
        coming = self.page.locator("trunkline-chat .busy .text")
        await expect(coming).to_have_text(re.compile(rf".{{{characters},}}", re.DOTALL))
        return await coming.inner_text()

    async def session_id(self) -> str:
        """The session that the footer names."""
        return ((await self.footer.text_content()) or "").split()[1]

    async def ask_shadow(self, expression: str) -> Any:
        """Evaluate JavaScript with `root` as the chat's shadow root."""
        return await self.page.evaluate(f"(root => {expression})(document.querySelector('trunkline-chat').shadowRoot)")

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self._problems.append(message.text)

    def _error(self, error: Error) -> None:
        self._problems.append(f"uncaught: {error.message}")

    def _request(self, request: Request) -> None:
        if not request.url.startswith(("data:", "blob:")):
            self._hosts.add(urlsplit(request.url).netloc)


@asynccontextmanager
async def visiting(browser: Browser, **options: Any) -> AsyncGenerator[Visitor]:
    """A visitor with a fresh profile. Any error that no test expected fails it at the end."""
    options.setdefault("viewport", {"width": 1280, "height": 800})
    context = await browser.new_context(**options)
    context.set_default_timeout(15_000)
    await context.add_init_script(_LISTEN)
    visitor = Visitor(context, await context.new_page())
    visitor.listen()
    try:
        yield visitor
        assert not visitor.problems, "\n".join(visitor.problems)
    finally:
        await context.close()
