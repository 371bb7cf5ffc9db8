"""Who is calling: an API key, a visitor's token or a member's, each as `Authorization: Bearer …`."""

from __future__ import annotations

from uuid import UUID

import jwt
from fastapi import Request
from pydantic import SecretStr

from trunkline.api import Authenticate
from trunkline.db.principals import Member, Principal
from trunkline.db.tenant import Database
from trunkline.errors import NotAuthenticated
from trunkline.organizations.keys import looks_like_key
from trunkline.organizations.service import authenticate_key
from trunkline.sessions.endpoints import check_origin
from trunkline.sessions.tokens import AUDIENCE, VisitorTokens

MEMBER_ROLE = "authenticated"
"""Role and audience of a member's token, as Supabase signs them."""


LONGEST = 4096
"""Most characters of a credential; a key has less than a hundred, a token some hundreds."""


def authenticator(database: Database, tokens: VisitorTokens, jwt_secret: SecretStr | None) -> Authenticate:
    """The function that turns a request's credential into a principal."""

    async def authenticate(request: Request) -> Principal:
        credential = _bearer(request)
        if looks_like_key(credential):
            return await authenticate_key(database, credential)
        if _audience(credential) == AUDIENCE:
            visitor = tokens.verify(credential)
            check_origin(request, visitor)
            return visitor
        return _member(credential, jwt_secret)

    return authenticate


def _bearer(request: Request) -> str:
    scheme, _, credential = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not credential.strip():
        raise NotAuthenticated("Send a credential as `Authorization: Bearer KEY`. Make one: `trunkline keys create`.")
    if len(credential) > LONGEST:
        raise NotAuthenticated(f"The credential is longer than {LONGEST} characters: it is none of ours.")
    return credential.strip()


def _audience(token: str) -> object:
    """What a token says it is for; only to choose the key that then verifies it."""
    try:
        return jwt.decode(token, options={"verify_signature": False}).get("aud")
    except jwt.InvalidTokenError:
        return None


def _member(token: str, secret: SecretStr | None) -> Member:
    if secret is None:
        raise NotAuthenticated(
            "The credential is neither an API key nor a visitor's token."
            " Members' tokens need TRUNKLINE_SECURITY_JWT_SECRET."
        )
    try:
        claims = jwt.decode(
            token,
            secret.get_secret_value(),
            algorithms=["HS256"],
            audience=MEMBER_ROLE,
            options={"require": ["exp", "sub"]},
        )
        user_id = UUID(claims["sub"])
    except (jwt.InvalidTokenError, ValueError):
        raise NotAuthenticated("The member's token is expired or not valid here. Sign in again.") from None
    if claims.get("role") != MEMBER_ROLE:
        raise NotAuthenticated(f"The token's role is not {MEMBER_ROLE!r}. Sign in as a member.")
    return Member(user_id, claims.get("email"))
