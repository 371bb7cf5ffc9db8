"""What every request passes before a route sees it: its size is bounded, it gets an id, answers get safe headers."""

from __future__ import annotations

import re
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from trunkline.errors import TrunklineError
from trunkline.web.problems import respond

MAX_BODY = 512 * 1024
"""Most bytes of a request's body: a system prompt of 100,000 characters fits, whatever its script."""

_REQUEST_ID = re.compile(r"^[A-Za-z0-9._-]{1,64}$")


class BodyTooLarge(TrunklineError):
    """The request's body is over the bound."""

    status = 413
    code = "body_too_large"
    title = "Body too large"


class Edge:
    """Bounds bodies, names requests, sets headers. Plain ASGI, so that streams pass untouched."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        request_id = headers.get("x-request-id", "")
        if not _REQUEST_ID.match(request_id):
            request_id = uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer = MutableHeaders(scope=message)
                answer["X-Request-Id"] = request_id
                answer.setdefault("X-Content-Type-Options", "nosniff")
                answer.setdefault("Referrer-Policy", "no-referrer")
            await send(message)

        if "content-length" in headers or "transfer-encoding" in headers:
            try:
                receive = await _read(headers, receive)
            except BodyTooLarge as error:
                await respond(error)(scope, receive, send_with_headers)
                return
        await self._app(scope, receive, send_with_headers)


async def _read(headers: Headers, receive: Receive) -> Receive:
    """Read the body within its bound; returns what gives it once more, then whatever else comes.

    Raises:
        BodyTooLarge: it says so, or is, whatever it says.
    """
    length = headers.get("content-length", "0")
    if len(length) > 9 or (length.isdecimal() and int(length) > MAX_BODY):
        raise BodyTooLarge(_TOO_LARGE)
    body = bytearray()
    message: Message = {"more_body": True}
    while message.get("more_body", False):
        message = await receive()
        if message["type"] == "http.disconnect":
            break
        body += message.get("body", b"")
        if len(body) > MAX_BODY:
            raise BodyTooLarge(_TOO_LARGE)
    whole: list[Message] = [{"type": "http.request", "body": bytes(body), "more_body": False}]
    if message["type"] == "http.disconnect":
        whole = [message]  # half a body is none

    async def again() -> Message:
        return whole.pop() if whole else await receive()

    return again


_TOO_LARGE = f"The body is over {MAX_BODY // 1024} KiB. Send less."
