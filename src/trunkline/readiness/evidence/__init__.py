"""Collectors: each looks at one side of the database and returns values. Only here the database is asked."""
