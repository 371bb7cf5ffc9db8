"""Write the docs that are made of the readiness analyser: the page of its checks, and the schema of its report."""

from __future__ import annotations

from pathlib import Path

from trunkline.readiness.checks import all_checks
from trunkline.readiness.render.checks import render_checks
from trunkline.readiness.render.json import published_schema

DOCS = Path(__file__).parent.parent / "docs"

(DOCS / "checks.md").write_text(render_checks(all_checks()), encoding="utf-8")
(DOCS / "readiness.schema.json").write_text(published_schema(), encoding="utf-8")
