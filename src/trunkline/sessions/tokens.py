"""Visitors' tokens: short-lived, signed, good for one session of one agent on one website (JWT, RFC 7519)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import jwt

from trunkline.db.principals import Visitor
from trunkline.errors import NotAuthenticated

AUDIENCE = "trunkline:visitor"
ALGORITHM = "HS256"


class VisitorTokens:
    """Signs with the first key, verifies with each."""

    def __init__(self, keys: list[bytes], lifetime_s: int) -> None:
        self._keys = keys
        self._lifetime = timedelta(seconds=lifetime_s)

    def sign(self, visitor: Visitor) -> tuple[str, datetime]:
        """A token for a visitor with a session, and when it expires."""
        now = datetime.now(UTC).replace(microsecond=0)
        expires = now + self._lifetime
        claims = {
            "aud": AUDIENCE,
            "iat": now,
            "exp": expires,
            "trunkline": {
                "kind": visitor.kind,
                "organization_id": str(visitor.organization_id),
                "agent_id": str(visitor.agent_id),
                "session_id": visitor.session_id,
                "website_domain": visitor.website_domain,
            },
        }
        return jwt.encode(claims, self._keys[0], algorithm=ALGORITHM), expires

    def verify(self, token: str, *, grace_s: int = 0) -> Visitor:
        """The visitor that a token was signed for; `grace_s` also takes one that expired that many seconds ago.

        Raises:
            NotAuthenticated: the token is expired, not ours, or not for visitors.
        """
        reason: jwt.InvalidTokenError | None = None
        for key in self._keys:
            try:
                claims = jwt.decode(
                    token,
                    key,
                    algorithms=[ALGORITHM],
                    audience=AUDIENCE,
                    leeway=grace_s,
                    options={"require": ["exp", "iat", "aud"]},
                )
                return _visitor(claims["trunkline"])
            except jwt.InvalidSignatureError as error:
                reason = error
            except (jwt.InvalidTokenError, KeyError, TypeError, ValueError) as error:
                if isinstance(error, jwt.ExpiredSignatureError):
                    raise NotAuthenticated(
                        "The visitor's token has expired. Ask for a new one at /v1/sessions/{session_id}/token."
                    ) from None
                break
        raise NotAuthenticated("The token is not a valid visitor's token. Start a session to get one.") from reason


def _visitor(claims: dict[str, str]) -> Visitor:
    return Visitor(
        agent_id=UUID(claims["agent_id"]),
        website_domain=str(claims["website_domain"]),
        organization_id=UUID(claims["organization_id"]),
        session_id=str(claims["session_id"]),
    )
