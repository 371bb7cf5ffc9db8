"""Every error leaves as a problem document (RFC 9457): what happened, which value, what to do. Never a traceback."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from psycopg import errors as pg
from sqlalchemy.exc import DBAPIError
from starlette.exceptions import HTTPException

from trunkline.errors import Conflict, DatabaseUnavailable, InvalidInput, NotAllowed, TrunklineError

MEDIA_TYPE = "application/problem+json"

_log = logging.getLogger(__name__)

_HINTS = {
    400: "The request's body can't be read. Send JSON (RFC 8259) in UTF-8, nested less than a hundred levels.",
    404: "There is nothing at this address. The API is described at /docs.",
    405: "This address doesn't know that method. The API is described at /docs.",
}


_PASSING = (
    pg.DeadlockDetected,
    pg.DiskFull,
    pg.LockNotAvailable,
    pg.OutOfMemory,
    pg.QueryCanceled,  # the statement's time was over
    pg.ReadOnlySqlTransaction,  # a replica, until the failover is done
    pg.SerializationFailure,
    pg.TooManyConnections,
)
"""What is not the request's fault, and may be over in a moment."""


def install(app: FastAPI) -> None:
    """Let the app answer every error with a problem document."""
    app.add_exception_handler(TrunklineError, _ours)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(DBAPIError, _refused)
    app.add_exception_handler(Exception, _unexpected)


def respond(error: TrunklineError, **more: Any) -> JSONResponse:
    """An error of ours as a response."""
    headers: dict[str, str] = {}
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after_s)))
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse({**error.problem(), **more}, error.status, headers, media_type=MEDIA_TYPE)


async def _ours(_: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, TrunklineError):
        raise error
    return respond(error)


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, RequestValidationError):
        raise error
    found: Sequence[Mapping[str, Any]] = error.errors()
    errors = [{"field": _field(item["loc"]), "detail": _sentence(item)} for item in found[:20]]
    first = errors[0]
    field = first["field"]
    told = InvalidInput(f"{field}: {first['detail']}" if field else first["detail"], field=field or None)
    return respond(told, errors=errors)


def _field(location: Sequence[Any]) -> str:
    parts = [str(part) for part in location]
    return ".".join(parts[1:] if parts[:1] in (["body"], ["query"], ["path"], ["header"]) else parts)


def _sentence(item: Mapping[str, Any]) -> str:
    if item["type"] in ("model_attributes_type", "model_type") and tuple(item["loc"]) == ("body",):
        return "Send a JSON object, with the header `Content-Type: application/json`."
    text = str(item["msg"]).removeprefix("Value error, ")
    return (text[:1].upper() + text[1:]).rstrip(".") + "."


async def _http(_: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, HTTPException):
        raise error
    detail = _HINTS.get(error.status_code, str(error.detail))
    body = {"type": "about:blank", "title": str(error.detail), "status": error.status_code, "detail": detail}
    headers = dict(error.headers or {})
    return JSONResponse(
        {**body, "code": f"http_{error.status_code}"}, error.status_code, headers, media_type=MEDIA_TYPE
    )


async def _refused(request: Request, error: Exception) -> JSONResponse:
    """What the database refused: a policy, a bound, a value that it can't store."""
    cause = getattr(error, "orig", None)
    if isinstance(cause, pg.InsufficientPrivilege):
        return respond(NotAllowed("Your role in this organization does not allow this."))
    if isinstance(cause, pg.CheckViolation):
        constraint = cause.diag.constraint_name or "a constraint"
        return respond(InvalidInput(f"A value is outside its bounds: {constraint}."))
    if isinstance(cause, pg.DataError):
        return respond(InvalidInput("A value can't be stored: it has a NUL character or is out of range."))
    if isinstance(cause, pg.UniqueViolation | pg.ForeignKeyViolation):
        return respond(Conflict("Somebody else has just changed what this is about. Look at it, and try again."))
    if isinstance(cause, _PASSING):
        return respond(DatabaseUnavailable("The database can't do this now. Try again in a moment.", retry_after_s=1))
    return await _unexpected(request, error)


async def _unexpected(request: Request, error: Exception) -> JSONResponse:
    _log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return respond(TrunklineError("Something went wrong on the server. It was logged; try again."))
