"""Profiles, organizations, their members, API keys, provider credentials, the audit log."""
