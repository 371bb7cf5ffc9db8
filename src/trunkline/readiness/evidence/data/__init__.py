"""Rows that the target would refuse: counted, with some keys as samples."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg

from trunkline.postgres.catalogue.model import Catalogue
from trunkline.readiness.evidence.data.keys import duplicates
from trunkline.readiness.evidence.data.references import orphans
from trunkline.readiness.evidence.data.rows import unfit_rows
from trunkline.readiness.evidence.data.session import Session
from trunkline.readiness.evidence.data.settings import unfit_settings
from trunkline.readiness.evidence.data.source import Source, sources
from trunkline.readiness.evidence.data.values import BadRows, DataEvidence, Fault, Hidden
from trunkline.readiness.matching import Matching
from trunkline.readiness.report import NotChecked
from trunkline.readiness.target import Target

__all__ = ["BadRows", "DataEvidence", "Fault", "Hidden", "collect_data"]


def collect_data(
    connection: psycopg.Connection,
    catalogue: Catalogue,
    target: Target,
    matching: Matching,
    *,
    deep: bool,
    note: list[NotChecked],
) -> DataEvidence:
    """Count the rows that would not fit the target, in every table that the matching found.

    Tables of more than about 200,000 rows are sampled, and no question may take longer than three seconds; with
    `deep` all rows are read and only the connection's own timeout counts. What could not be looked at goes to `note`.

    Raises:
        psycopg.OperationalError: the connection is lost.
    """
    session = Session(connection, note, is_deep=deep)
    found, hidden = sources(session, catalogue, target, matching)
    bad = tuple(each for source in found.values() for each in _bad_rows(session, catalogue, source, found))
    return DataEvidence(
        bad=bad,
        sampled=tuple(source.relation.name for source in found.values() if source.is_sampled),
        hidden=hidden,
    )


def _bad_rows(session: Session, catalogue: Catalogue, source: Source, found: dict[str, Source]) -> Iterator[BadRows]:
    yield from unfit_rows(session, source)
    yield from unfit_settings(session, source)
    yield from orphans(session, catalogue, source, found)
    yield from duplicates(session, source)
