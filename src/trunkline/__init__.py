"""Trunkline: AI agents for many organizations on one Postgres, every session isolated by the database itself."""

__version__ = "0.1.0"
