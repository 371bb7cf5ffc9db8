"""API keys as they are made and recognised: 256 random bits, of which only the SHA-256 is stored."""

from __future__ import annotations

import hashlib
import secrets

PREFIX = "tl_"
SHOWN = 11
"""How many first characters of a key are stored in the clear, to tell keys apart."""


def make_key() -> str:
    """A fresh key; shown once, never stored."""
    return PREFIX + secrets.token_urlsafe(32)


def hash_of(key: str) -> bytes:
    """What is stored and looked up. A fast hash is right here: the input is 256 random bits, not a password."""
    return hashlib.sha256(key.encode()).digest()


def looks_like_key(value: str) -> bool:
    """Whether a bearer token is meant as an API key."""
    return value.startswith(PREFIX) and len(value) <= 100
