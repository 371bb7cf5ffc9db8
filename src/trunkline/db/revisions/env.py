"""How Alembic runs our revisions: one connection, one transaction, short locks; or as SQL on paper."""

from __future__ import annotations

from alembic import context
from sqlalchemy import text

from trunkline.db.version import VERSION_SCHEMA


def _offline() -> None:
    context.configure(
        dialect_name="postgresql",
        literal_binds=True,
        version_table_schema=VERSION_SCHEMA,
        dialect_opts={"paramstyle": "named"},
    )
    with context.begin_transaction():
        context.execute("set local lock_timeout = '3s'")
        context.execute("set local statement_timeout = '60s'")
        context.execute(f"create schema if not exists {VERSION_SCHEMA}")
        context.run_migrations()


def _online() -> None:
    connection = context.config.attributes["connection"]
    # Two servers that start at once must not both build: the second waits here and then finds the work done.
    connection.execute(text("select pg_advisory_lock(hashtextextended('trunkline revisions', 0))"))
    connection.execute(text(f"create schema if not exists {VERSION_SCHEMA}"))
    connection.commit()
    context.configure(connection=connection, version_table_schema=VERSION_SCHEMA)
    with context.begin_transaction():
        # A revision that would wait for a lock makes everybody behind it wait too: better to fail and try again.
        context.execute("set local lock_timeout = '3s'")
        context.execute("set local statement_timeout = '60s'")
        context.run_migrations()
    connection.execute(text("select pg_advisory_unlock(hashtextextended('trunkline revisions', 0))"))
    connection.commit()


if context.is_offline_mode():
    _offline()
else:
    _online()
