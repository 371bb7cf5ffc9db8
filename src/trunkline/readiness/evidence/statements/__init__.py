"""Statements that are prepared and never run: what would the server say to them now?"""

from __future__ import annotations

from collections.abc import Sequence

import psycopg

from trunkline.postgres.catalogue.model import Catalogue
from trunkline.readiness.evidence.statements.composed import composed
from trunkline.readiness.evidence.statements.preparing import Preparer
from trunkline.readiness.evidence.statements.values import Origin, Prepared, StatementEvidence
from trunkline.readiness.matching import Matching
from trunkline.readiness.report import NotChecked
from trunkline.readiness.target import Target

__all__ = ["Origin", "Prepared", "StatementEvidence", "collect_statements"]


def collect_statements(
    connection: psycopg.Connection,
    catalogue: Catalogue,
    target: Target,
    matching: Matching,
    statements: Sequence[tuple[str, str]],
    note: list[NotChecked],
) -> StatementEvidence:
    """Have the server prepare statements of the new application, of the old one, and `statements` (label and SQL).

    Nothing of them is run. Preparing takes the locks that running would (at most ROW EXCLUSIVE, for an instant), waits
    50 ms for them, and releases them at once. A user's statements find tables by the search path of the connection.

    Raises:
        psycopg.OperationalError: the connection is lost.
    """
    preparer = Preparer(connection, note)
    found = [preparer.prepare(each) for each in composed(catalogue, target, matching)]
    found += [preparer.prepare_users(label, text) for label, text in statements]
    return StatementEvidence(prepared=tuple(each for each in found if each is not None))
