"""The report as JSON, and the schema that is published for it."""

from __future__ import annotations

import json

from trunkline.readiness.report import Report


def render_json(report: Report) -> str:
    """The whole report; a later analysis takes it as its baseline."""
    return report.model_dump_json(indent=2) + "\n"


def published_schema() -> str:
    """The JSON schema (draft 2020-12) of what `render_json` writes, as kept in docs/readiness.schema.json."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Report.model_json_schema(mode="serialization"),
        "title": "Readiness report of Trunkline",
    }
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
