"""Encrypts stored credentials and signs visitors' tokens, with keys derived from the operator's one secret.

Ciphertext: version (1 byte), id of the key (8 bytes), nonce (12), AES-256-GCM's output. The associated data is the
row's identity with the provider and address that the key is for, so that a ciphertext copied to another row, or a row
turned to another address, does not open (NIST SP 800-38D).
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from trunkline.errors import SetupError

_VERSION = b"\x01"
_NONCE = 12
_MINIMUM = 32


@dataclass(frozen=True, slots=True)
class KeptFor:
    """Whose a stored key is, and the one place that it may be sent to."""

    organization_id: UUID
    row_id: UUID
    provider: str
    base_url: str | None
    """None: the provider's own address, which the operator sets."""

    def associated_data(self) -> bytes:
        """All of it in one unambiguous form."""
        return json.dumps([str(self.organization_id), str(self.row_id), self.provider, self.base_url]).encode()


class Vault:
    """Keys of one secret, and of the one before while it is being rotated out."""

    def __init__(self, secret: str | None, previous: str | None = None) -> None:
        """Derive the keys.

        Raises:
            SetupError: the secret is missing, shorter than 32 characters or made of few different ones.
        """
        secrets = [_checked(secret, "TRUNKLINE_SECURITY_SECRET")]
        if previous is not None:
            secrets.append(_checked(previous, "TRUNKLINE_SECURITY_PREVIOUS_SECRET"))
        self._encryption = {_id_of(key): key for key in (_derive(item, b"credentials") for item in secrets)}
        self.token_keys = [_derive(item, b"visitor tokens") for item in secrets]
        """Keys that verify visitors' tokens; the first one signs."""

    def seal(self, plain: str, kept_for: KeptFor) -> bytes:
        """Encrypt a credential for one row and one place."""
        key_id, key = next(iter(self._encryption.items()))
        nonce = os.urandom(_NONCE)
        sealed = AESGCM(key).encrypt(nonce, plain.encode(), kept_for.associated_data())
        return _VERSION + key_id + nonce + sealed

    def open(self, blob: bytes, kept_for: KeptFor) -> str:
        """Decrypt a credential of this very row, for this very place.

        Raises:
            SetupError: it was encrypted under another secret, for another row or place, or is damaged.
        """
        key = self._encryption.get(blob[1:9])
        if blob[:1] != _VERSION or key is None:
            raise SetupError(
                "A stored credential was encrypted under another TRUNKLINE_SECURITY_SECRET. Store it anew."
            )
        nonce, sealed = blob[9 : 9 + _NONCE], blob[9 + _NONCE :]
        try:
            return AESGCM(key).decrypt(nonce, sealed, kept_for.associated_data()).decode()
        except InvalidTag:
            raise SetupError(
                "A stored credential is damaged, or belongs to another row or address. Store it anew."
            ) from None


def _checked(secret: str | None, name: str) -> bytes:
    if secret is None:
        raise SetupError(
            f"{name} is not set. Set it to at least {_MINIMUM} random characters: openssl rand -base64 48."
        )
    if len(secret) < _MINIMUM or len(set(secret)) < 10:
        raise SetupError(
            f"{name} is too weak. It needs at least {_MINIMUM} random characters: openssl rand -base64 48."
        )
    return secret.encode()


def _derive(secret: bytes, purpose: bytes) -> bytes:
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=b"trunkline", info=purpose).derive(secret)


def _id_of(key: bytes) -> bytes:
    return hashlib.sha256(b"id" + key).digest()[:8]
