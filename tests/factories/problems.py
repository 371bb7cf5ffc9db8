"""What every refusal must look like (RFC 9457)."""

from __future__ import annotations

from typing import Any

import httpx2


def assert_problem(
    response: httpx2.Response, status: int, code: str | None = None, *, field: str | None = None, says: str = ""
) -> dict[str, Any]:
    """The problem document of a refusal: its status, code and field, and words that its sentence has."""
    assert response.status_code == status, f"{response.status_code} {response.text}"
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert (body["type"], body["status"]) == ("about:blank", status)
    assert body["title"]
    assert body["detail"].rstrip()[-1] in ".:!?", body["detail"]
    assert "Traceback" not in response.text
    assert code in (None, body["code"]), body
    assert field in (None, body.get("field")), body
    assert says.lower() in body["detail"].lower(), body["detail"]
    return body
