"""Agents: their settings, drafts and published versions."""
