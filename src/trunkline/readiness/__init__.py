"""The readiness analyser: is this database ready for this code?

Stands alone: takes a database's URL and a target as a value, reads no settings, prints nothing, changes nothing.
Evidence is collected (`evidence/`), judged (`checks/`, one file each), scored (`score`) and told (`report`).
"""
