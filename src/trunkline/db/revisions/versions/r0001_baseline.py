"""The baseline: all tables, functions, triggers, grants and policies of the first release.

Revision: 0001, after nothing
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SEPARATOR = "\n-- next\n"


def upgrade() -> None:
    """Make everything."""
    _run("r0001_baseline.up.sql")


def downgrade() -> None:
    """Remove everything that the upgrade made, and nothing else."""
    _run("r0001_baseline.down.sql")


def _run(name: str) -> None:
    script = Path(__file__).with_name(name).read_text(encoding="utf-8")
    for statement in script.split(SEPARATOR):
        op.execute(statement.strip().removesuffix(";"))
