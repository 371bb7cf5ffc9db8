"""The command over a fresh database of an external server."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.factories.command import Command
from tests.factories.server import JWT_SECRET, SECRET, Shop, open_shop


@pytest.fixture
def shop(owner_url: str) -> Shop:
    """An organization that is there already."""
    return open_shop(owner_url)


@pytest.fixture
def command(tmp_path: Path, owner_url: str, login_url: str) -> Command:
    """The command, told both URLs and the secrets."""
    settings = {
        "TRUNKLINE_DATABASE_URL": login_url,
        "TRUNKLINE_DATABASE_DIRECT_URL": owner_url,
        "TRUNKLINE_DATA_DIR": str(tmp_path),
        "TRUNKLINE_SECURITY_SECRET": SECRET,
        "TRUNKLINE_SECURITY_JWT_SECRET": JWT_SECRET,
    }
    return Command(settings, tmp_path)
