"""The operator's settings: nested groups, frozen, read once from the environment.

Every variable starts with `TRUNKLINE_`; a nested field joins group and name with one underscore
(`TRUNKLINE_DATABASE_URL` is `settings.database.url`).
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import platformdirs
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from trunkline.errors import SetupError


def default_data_dir() -> Path:
    """The user's data folder; a system folder for root, whose home an unprivileged PostgreSQL can't enter."""
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        return Path("/var/lib/trunkline")
    return Path(platformdirs.user_data_dir("trunkline"))


class Group(BaseModel):
    """One group of settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DatabaseSettings(Group):
    """Where the rows live. Without a URL the embedded PostgreSQL is used."""

    url: SecretStr | None = None
    """Connection of the login role (`postgresql://user:password@host:port/name`); a pooler may sit between."""
    direct_url: SecretStr | None = None
    """Connection of the tables' owner, without a pooler: schema revisions and administration."""
    pool_size: int = Field(default=10, ge=1, le=200)
    """Most connections that one server process holds."""
    pool_timeout_seconds: float = Field(default=5.0, gt=0, le=60)
    """How long a request waits for a free connection before it gets 503, in seconds."""
    statement_timeout_ms: int = Field(default=15_000, ge=100, le=600_000)
    """Longest time of one statement of a request, in milliseconds."""
    answer_grace_seconds: float = Field(default=3.0, gt=0, le=60)
    """How much longer than that the database may be silent before a request gets 503, in seconds."""


class SecuritySettings(Group):
    """Keys that sign and encrypt."""

    secret: SecretStr | None = None
    """At least 32 characters of randomness. Signs visitors' tokens and encrypts stored credentials."""
    previous_secret: SecretStr | None = None
    """The secret before a rotation: still accepted, never used for new tokens or ciphertexts."""
    jwt_secret: SecretStr | None = None
    """Verifies members' tokens (HS256): Supabase's JWT secret, or one of your own."""
    visitor_token_seconds: int = Field(default=3600, ge=60, le=86_400)
    """How long a visitor's token is good, in seconds. The page renews it while the session lives."""


class ModelSettings(Group):
    """Defaults for the models' providers, the operator's own."""

    openai_api_key: SecretStr | None = None
    """Used for agents of provider `openai` that set neither a credential nor a base URL of their own."""
    openai_base_url: str = "https://api.openai.com/v1"
    """Where `openai_api_key` belongs. The key is never sent anywhere else."""

    @field_validator("openai_base_url")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        parts = urlsplit(value)
        usable = parts.scheme in ("http", "https") and parts.hostname and value.isascii() and "@" not in parts.netloc
        if not usable or parts.port == 0:  # reading a port that is none raises the same error
            raise ValueError("write it as https://host/v1")
        return value


class TurnSettings(Group):
    """How turns are kept alive and ended."""

    lease_seconds: float = Field(default=15.0, ge=1, le=600)
    """How long a turn is its server's without a sign of life, in seconds. A killed server's turns fail after it."""
    grace_seconds: float = Field(default=12.0, ge=0, le=600)
    """How long running answers may take to finish once the server is told to stop, in seconds."""


class OutgoingSettings(Group):
    """What requests to other servers may reach."""

    allow: str = ""
    """Comma-separated hosts, host:port pairs or networks inside private address space that agents may call."""

    def allowed(self) -> frozenset[str]:
        """The entries of `allow`, trimmed, without empty ones."""
        return frozenset(entry.strip() for entry in self.allow.split(",") if entry.strip())


class Settings(BaseSettings):
    """All settings of one process."""

    model_config = SettingsConfigDict(
        env_prefix="TRUNKLINE_", env_nested_delimiter="_", env_nested_max_split=1, frozen=True, extra="ignore"
    )

    host: str = "127.0.0.1"
    """Address that the server listens on."""
    port: int = Field(default=8710, ge=0, le=65_535)
    """Port that the server listens on; 0 takes any free one."""
    data_dir: Path = Field(default_factory=default_data_dir)
    """Folder for the embedded database, secrets of the demo and its `demo.json`."""
    database: DatabaseSettings = DatabaseSettings()
    security: SecuritySettings = SecuritySettings()
    models: ModelSettings = ModelSettings()
    outgoing: OutgoingSettings = OutgoingSettings()
    turns: TurnSettings = TurnSettings()


@cache
def load_settings() -> Settings:
    """Read the environment once.

    Raises:
        SetupError: a variable has a value outside its range; names the variable.
    """
    try:
        return Settings()
    except ValidationError as error:
        problems = " ".join(
            f"TRUNKLINE_{'_'.join(str(part) for part in item['loc']).upper()}: {item['msg']}."
            for item in error.errors()
        )
        raise SetupError(f"A setting is not usable. {problems}") from None
