"""Every error a person can meet.

TrunklineError
├── SetupError              the machine or the configuration must be mended first
│   ├── DatabaseUnsafe      the login role could bypass row-level security
│   └── DatabaseUnavailable the server does not answer (503; recovers by itself)
├── InvalidInput            422: a field, its bound, and what to do
├── NotAuthenticated        401: no credential, or one that is wrong or expired
├── NotAllowed              403: a good credential that may not do this
├── NotFound                404: it does not exist, or belongs to somebody else (the same answer on purpose)
├── Conflict                409: somebody else is at it, or it already exists
├── TooMany                 429: a limit; says which one and until when
└── ProviderFailed          502: the model's provider failed; says which one and why

An error carries its sentence and its status; one handler renders it for the web (RFC 9457), one for the terminal.
"""

from __future__ import annotations

from typing import ClassVar


class TrunklineError(Exception):
    """Base of all errors meant for people.

    `detail` is one or two plain sentences: what happened, which value, what to do. `field` names the offending
    input where there is one. `retry_after_s` (seconds) tells when trying again makes sense.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"
    title: ClassVar[str] = "Something went wrong"

    def __init__(self, detail: str, *, field: str | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field
        self.retry_after_s = retry_after_s

    def problem(self) -> dict[str, str | int]:
        """The error as a problem document (RFC 9457)."""
        body: dict[str, str | int] = {
            "type": "about:blank",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
        }
        return body if self.field is None else {**body, "field": self.field}


class SetupError(TrunklineError):
    """The machine or the configuration must be mended before Trunkline can run."""

    code: ClassVar[str] = "setup"
    title: ClassVar[str] = "Not set up"


class DatabaseUnsafe(SetupError):
    """The login role is, or can become, one that row-level security does not bind."""

    code: ClassVar[str] = "database_unsafe"
    title: ClassVar[str] = "The login role could bypass row-level security"


class DatabaseUnavailable(SetupError):
    """The database does not answer. Nothing was written, unless the sentence says that this is unknown."""

    status: ClassVar[int] = 503
    code: ClassVar[str] = "database_unavailable"
    title: ClassVar[str] = "The database does not answer"


class InvalidInput(TrunklineError):
    """A value is outside what is accepted."""

    status: ClassVar[int] = 422
    code: ClassVar[str] = "invalid_input"
    title: ClassVar[str] = "Invalid input"


class NotAuthenticated(TrunklineError):
    """No credential was sent, or it is unknown, revoked or expired."""

    status: ClassVar[int] = 401
    code: ClassVar[str] = "not_authenticated"
    title: ClassVar[str] = "Not authenticated"


class NotAllowed(TrunklineError):
    """The credential is good, but does not allow this."""

    status: ClassVar[int] = 403
    code: ClassVar[str] = "not_allowed"
    title: ClassVar[str] = "Not allowed"


class NotFound(TrunklineError):
    """The thing does not exist for this caller; whether it exists for another is not told."""

    status: ClassVar[int] = 404
    code: ClassVar[str] = "not_found"
    title: ClassVar[str] = "Not found"


class Conflict(TrunklineError):
    """The present state does not allow this now."""

    status: ClassVar[int] = 409
    code: ClassVar[str] = "conflict"
    title: ClassVar[str] = "Conflict"


class TooMany(TrunklineError):
    """A limit is reached."""

    status: ClassVar[int] = 429
    code: ClassVar[str] = "too_many"
    title: ClassVar[str] = "Limit reached"


class ProviderFailed(TrunklineError):
    """The model's provider is not configured, refused, or broke off."""

    status: ClassVar[int] = 502
    code: ClassVar[str] = "provider_failed"
    title: ClassVar[str] = "The model's provider failed"
