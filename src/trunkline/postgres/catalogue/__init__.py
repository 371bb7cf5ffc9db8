"""A snapshot of a database's catalogue: what there is, read in a handful of queries and looked at in Python."""
