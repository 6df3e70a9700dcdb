"""The database: sessions, connections, deadlines, outages, column types, statements.

Code that differs between SQLite and PostgreSQL belongs here.
"""
