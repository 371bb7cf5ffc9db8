"""Write the baseline's SQL from the declared models. Not after the first release: later changes are revisions."""

from __future__ import annotations

from pathlib import Path

from trunkline.db.schema import statements
from trunkline.models import Base

TARGET = Path(__file__).parent.parent / "src/trunkline/db/revisions/versions/r0001_baseline.up.sql"

TARGET.write_text("\n-- next\n".join(f"{statement.strip()};" for statement in statements(Base.metadata)) + "\n")
