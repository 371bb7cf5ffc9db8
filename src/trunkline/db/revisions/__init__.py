"""Alembic's revisions of our own schema, run in one transaction under short lock and statement timeouts.

("Migration" means only the product's: taking in somebody's legacy schema.)
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from trunkline.db.urls import sqlalchemy_url


def upgrade(url: str, revision: str = "head") -> None:
    """Bring the schema to `revision`; `url` is the owner's, without a pooler."""
    _run(url, lambda config: command.upgrade(config, revision))


def downgrade(url: str, revision: str) -> None:
    """Take the schema back to `revision`; `base` removes all that is ours, rows included."""
    _run(url, lambda config: command.downgrade(config, revision))


def newest() -> str | None:
    """The newest revision among the files."""
    return ScriptDirectory.from_config(_config()).get_current_head()


def upgrade_sql() -> str:
    """The SQL of all revisions, as `alembic upgrade head --sql` prints it."""
    out = io.StringIO()
    config = _config()
    config.output_buffer = out
    command.upgrade(config, "head", sql=True)
    return out.getvalue()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    return config


def _run(url: str, action: Callable[[Config], None]) -> None:
    engine = create_engine(sqlalchemy_url(url))
    try:
        with engine.connect() as connection:
            config = _config()
            config.attributes["connection"] = connection
            action(config)
    finally:
        engine.dispose()
