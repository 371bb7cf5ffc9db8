"""What the endpoints of every feature share: who is calling, the database, pages of lists."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

from fastapi import Depends, Query, Request, Security
from fastapi.security import HTTPBearer
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from trunkline.db.principals import ApiKey, Member, Principal, Service, Visitor
from trunkline.db.tenant import Database
from trunkline.errors import InvalidInput, NotAllowed

Authenticate = Callable[[Request], Awaitable[Principal]]

Item = TypeVar("Item", bound=BaseModel)

SCOPES = (
    "agents:read",
    "agents:write",
    "sessions:read",
    "sessions:write",
    "credentials:write",
    "keys:write",
    "organization:read",
)
"""What an API key may be limited to."""


class Schema(BaseModel):
    """Base of everything that the API takes: unknown fields are refused rather than dropped."""

    model_config = ConfigDict(extra="forbid")


class View(BaseModel):
    """Base of everything that the API gives, read from rows."""

    model_config = ConfigDict(from_attributes=True)


class Page(BaseModel, Generic[Item]):
    """One page of a list. `next_cursor` fetches the next one; null on the last."""

    data: list[Item]
    next_cursor: str | None = None


def _storable(value: str) -> str:
    if "\x00" in value:
        raise ValueError("must not contain the character NUL (U+0000); remove it")
    return value


Text = Annotated[str, AfterValidator(_storable)]
"""A text that PostgreSQL can store."""


_bearer = HTTPBearer(
    auto_error=False,
    description="An API key (`tl_…`), a visitor's token, or a member's token",
    scheme_name="credential",
)


# The scheme is named for the documentation's sake; what reads the header is the app's own authenticator.
async def _principal(request: Request, _: Annotated[object, Security(_bearer)]) -> Principal:
    authenticate: Authenticate = request.app.state.authenticate
    return await authenticate(request)


async def _database(request: Request) -> Database:
    database: Database = request.app.state.database
    return database


Caller = Annotated[Principal, Depends(_principal)]
"""Whoever the request's credential names; 401 without one."""

Db = Annotated[Database, Depends(_database)]
Limit = Annotated[int, Query(ge=1, le=200, description="Most items of one page")]
Cursor = Annotated[UUID | None, Query(description="The next_cursor of the page before")]


def need(caller: Principal, scope: str) -> None:
    """Refuse an API key without this scope, and visitors altogether; members are bound by their role's policies.

    Raises:
        NotAllowed: says which scope is missing.
    """
    if isinstance(caller, Visitor):
        raise NotAllowed("A visitor's token is good for its own session only. Use an API key.")
    if isinstance(caller, ApiKey) and not {scope, "*"} & caller.scopes:
        raise NotAllowed(f"This API key lacks the scope {scope}. Make one that has it, or use another key.")


def organization_for(caller: Principal, chosen: UUID | None) -> UUID:
    """The organization that a new row goes to: the key's own, or the one that a member names.

    Raises:
        InvalidInput: a member named none.
        NotAllowed: a key named another organization than its own.
    """
    if isinstance(caller, ApiKey | Service):
        if chosen not in (None, caller.organization_id):
            raise NotAllowed("This API key belongs to another organization. Leave organization_id out.")
        return caller.organization_id
    if chosen is None:
        raise InvalidInput("Say which organization: organization_id is missing.", field="organization_id")
    return chosen


def actor_id(caller: Principal) -> UUID | None:
    """The person that acts; None for programs."""
    return caller.user_id if isinstance(caller, Member) else None


def page_of(rows: list[Any], limit: int, view: type[Item]) -> Page[Item]:
    """A page from one row more than its limit, so that the last page is known to be the last."""
    shown = [view.model_validate(row) for row in rows[:limit]]
    more = len(rows) > limit
    return Page[Item](data=shown, next_cursor=str(rows[limit - 1].id) if more else None)


OrganizationField = Annotated[
    UUID | None, Field(description="Needed from members only; a key's own organization is known")
]
