"""Every attacker, every table, every way: what may not be is not, and its twin on a row of one's own is.

Attacks 1 to 4, 7, 8, 13, 14, 17, 18, 19, 25 and 27 of the list in docs/attacks.md.
"""

from __future__ import annotations

import pytest
from tests.attack.expected import TABLES, Rights
from tests.attack.matrix import Range, cells
from tests.attack.scene import Connection, Scene

from trunkline.db.schema import own_tables
from trunkline.models import Base


def test_the_specification_names_every_table() -> None:
    assert sorted(TABLES) == sorted(table.name for table in own_tables(Base.metadata))


@pytest.mark.parametrize("table", TABLES)
def test_every_attack_on(table: str, owner: Connection, scene: Scene, rights: Rights) -> None:
    field = Range(owner, scene)
    faults = [
        fault
        for attacker in scene.attackers.values()
        if attacker.name != "both"
        for cell in cells(scene, rights, table, attacker)
        if (fault := field.fault(cell))
    ]
    assert not faults, "\n".join(faults)
