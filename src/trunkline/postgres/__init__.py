"""The floor under everything that speaks to PostgreSQL: the embedded server, its locks, the client tools.

Nothing is imported here, so that a process that needs one part (the watchdog, a command) pays for that part only.
"""
