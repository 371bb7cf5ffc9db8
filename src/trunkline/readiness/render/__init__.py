"""The faces of a report that are text: pure functions from `Report` to a string. The terminal's is drawn in the CLI."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from trunkline.readiness.render.html import render_html
from trunkline.readiness.render.json import render_json
from trunkline.readiness.render.markdown import render_markdown
from trunkline.readiness.render.sarif import render_sarif
from trunkline.readiness.report import Report

RENDERERS: Mapping[str, Callable[[Report], str]] = {
    "json": render_json,
    "markdown": render_markdown,
    "html": render_html,
    "sarif": render_sarif,
}
"""By the name of the format."""
