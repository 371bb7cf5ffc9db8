"""The report as SARIF 2.1.0 (OASIS), for code scanning: checks are rules, findings are results."""

from __future__ import annotations

import hashlib
import json
from importlib.metadata import version
from typing import Any
from urllib.parse import quote

from trunkline.readiness.check import Check
from trunkline.readiness.checks import all_checks
from trunkline.readiness.report import Finding, NotChecked, Report, Severity

_LEVELS: dict[Severity, str] = {"blocker": "error", "major": "warning", "minor": "note", "info": "note"}


def render_sarif(report: Report) -> str:
    """One run. What could not be checked is told as notifications of the tool."""
    rules = _rules(report)
    positions = {rule["id"]: position for position, rule in enumerate(rules)}
    run = {
        "tool": {"driver": {"name": "trunkline-readiness", "version": version("trunkline"), "rules": rules}},
        "automationDetails": {"id": f"trunkline-readiness/{report.database}"},
        "invocations": [
            {
                "executionSuccessful": report.verdict != "unknown",
                "endTimeUtc": report.analysed_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "toolExecutionNotifications": [_notification(each) for each in report.not_checked],
            }
        ],
        "results": [_result(each, positions[each.code]) for each in report.findings],
        "properties": {"verdict": report.verdict, "status": report.status, "score": report.score},
    }
    log = {"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": [run]}
    return json.dumps(log, indent=2, ensure_ascii=False) + "\n"


def _rules(report: Report) -> list[dict[str, Any]]:
    """All checks, and codes of findings that this version has no check for."""
    rules = {check.code: _rule(check) for check in all_checks()}
    for finding in report.findings:
        rules.setdefault(finding.code, {"id": finding.code, "shortDescription": {"text": finding.impact}})
    return list(rules.values())


def _rule(check: Check) -> dict[str, Any]:
    return {
        "id": check.code,
        "shortDescription": {"text": check.title},
        "fullDescription": {"text": check.about.strip().partition("\n\n")[0]},
        "help": {"text": check.about.strip(), "markdown": check.about.strip()},
        "defaultConfiguration": {"level": _LEVELS[check.severity]},
        "properties": {"tags": [check.component, *check.covers]},
    }


def _result(finding: Finding, rule: int) -> dict[str, Any]:
    fingerprint = hashlib.sha256(f"{finding.code}\n{finding.object}".encode()).hexdigest()
    return {
        "ruleId": finding.code,
        "ruleIndex": rule,
        "level": _LEVELS[finding.severity],
        "message": {"text": f"{finding.object}: {finding.evidence} {finding.impact}"},
        "locations": [_location(finding.object)],
        "partialFingerprints": {"primaryLocationLineHash": fingerprint},
        "properties": {
            "severity": finding.severity,
            "component": finding.component,
            "remedy": finding.remedy,
        },
    }


def _location(name: str) -> dict[str, Any]:
    """The object; and, since code scanning shows results by file only, a path made of its name."""
    return {
        "logicalLocations": [{"fullyQualifiedName": name}],
        "physicalLocation": {
            "artifactLocation": {"uri": f"database/{quote(name, safe='.')}"},
            "region": {"startLine": 1},
        },
    }


def _notification(missing: NotChecked) -> dict[str, Any]:
    text = f"Not checked: {missing.what}: {missing.why} {missing.how}"
    return {"level": "warning", "message": {"text": text}}
