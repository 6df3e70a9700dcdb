"""The database: sessions, connections, deadlines, outages, column types, statements.

All that differs between SQLite and PostgreSQL belongs here.
"""
