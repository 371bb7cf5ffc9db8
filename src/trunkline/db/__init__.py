"""The database's side of Trunkline: mapped base, principals, the tenant-scoped session, policies, revisions."""
