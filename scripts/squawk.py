"""Lints the SQL of all schema revisions, as they would run on paper, with squawk. Its exit status is squawk's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from trunkline.db.revisions import upgrade_sql

OLDEST_SERVER = "15.0"
EXCLUDED = {
    "prefer-bigint-over-int": "our integers are settings and counts whose CHECKs keep them far below the limit",
    "prefer-text-field": "the widths of the founding columns are a contract that existing backends rely on",
}

squawk = Path(sys.executable).with_name("squawk")
options = [f"--pg-version={OLDEST_SERVER}", f"--exclude={','.join(EXCLUDED)}", "--stdin-filepath=revisions.sql"]
sys.exit(subprocess.run([squawk, *options], input=upgrade_sql(), text=True, check=False).returncode)
