"""The HTML report: one file, whole, in order, and safe to open."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.async_api import Browser, Page, async_playwright
from tests.browser.conftest import CHROMIUM, chromium_arguments
from tests.factories.reports import HOSTILE, finding, legacy_report, ready_report, unknown_report

from trunkline.readiness.render.html import render_html
from trunkline.readiness.report import Report

REPORTS = [legacy_report(), ready_report(), unknown_report()]
VOID = {"meta", "rect"}


class Outline(HTMLParser):
    """What is opened and closed, and the text of headings, ids and links."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.headings: list[int] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        given = dict(attrs)
        self.ids += [value for name, value in attrs if name == "id" and value]
        self.links += [value for name, value in attrs if name in ("href", "src") and value]
        assert not any(name.startswith("on") for name in given)
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text += data


def outline(report: Report) -> Outline:
    parser = Outline()
    parser.feed(render_html(report))
    parser.close()
    return parser


@pytest.mark.parametrize("report", REPORTS, ids=lambda report: report.status)
def test_every_element_is_closed_and_headings_follow_each_other(report: Report) -> None:
    found = outline(report)
    assert found.open == []
    assert found.headings[0] == 1
    assert found.headings.count(1) == 1
    assert all(later <= earlier + 1 for earlier, later in zip(found.headings, found.headings[1:], strict=False))
    assert len(found.ids) == len(set(found.ids))
    assert {link.removeprefix("#") for link in found.links} <= set(found.ids)


@pytest.mark.parametrize("report", REPORTS, ids=lambda report: report.status)
def test_nothing_is_loaded_and_nothing_runs(report: Report) -> None:
    found = outline(report)
    assert not {"script", "img", "link", "iframe", "form", "object"} & found.tags
    page = render_html(report)
    assert "@import" not in page
    assert "url(" not in page
    assert "default-src 'none'" in page


def test_no_name_becomes_markup() -> None:
    assert HOSTILE in outline(legacy_report()).text
    assert "<script" not in render_html(legacy_report())


def test_the_page_has_all_that_the_founding_analysis_had() -> None:
    text = outline(legacy_report()).text
    for part in (
        "PARTIALLY READY - NEEDS MIGRATION",
        "48 %",
        "The code expects",
        "The database has",
        "What it breaks",
        "alter table public.bots rename to agents;",
        "Migration checklist",
        '__tablename__ = "bots"',
        "Rename and extend",
        "New tables alongside",
        "advised",
        "Exclusive locks",
        "Production-ready",
        "Risk: medium",
        "Bottom line",
        "trunkline migrate plan",
        "What stands in the way",
        "What was not checked",
        "infinite recursion detected",
    ):
        assert part in text, part


def test_many_findings_of_one_kind_are_folded() -> None:
    def folds(count: int) -> int:
        many = tuple(finding("SCH003", "major", "agent_fields", f"agents.c{at}") for at in range(count))
        report = ready_report().model_copy(update={"findings": many})
        assert all(each.object in outline(report).text for each in many)
        return render_html(report).count("<details")

    assert (folds(2), folds(3)) == (0, 1)


def test_a_score_that_could_not_be_had_is_said() -> None:
    text = outline(unknown_report()).text
    assert "COULD NOT CHECK" in text
    assert "not checked" in text
    assert "the role reader may not act as anon." in text


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_page_is_accessible_and_fits_a_phone(scheme: str) -> None:
    if CHROMIUM is None:
        pytest.skip("There is no Chromium here. Set CHROMIUM to its path.")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=chromium_arguments())
        try:
            page = await opened(browser, scheme)
            await page.evaluate(AXE_SCRIPT)
            found = await page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
            assert found["passes"], "axe looked at nothing"
            assert found["violations"] == []
            width = await page.evaluate("document.documentElement.scrollWidth")
            assert width <= 360
        finally:
            await browser.close()


async def opened(browser: Browser, scheme: str) -> Page:
    """The page in a narrow window, everything unfolded; whatever it asks for or complains about fails the test."""
    page = await browser.new_page(
        viewport={"width": 360, "height": 800}, color_scheme="dark" if scheme == "dark" else "light"
    )
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("request", lambda request: complaints.append(request.url))
    await page.set_content(render_html(legacy_report()))
    for summary in await page.locator("details > summary").all():
        await summary.click()
    assert complaints == []
    return page
