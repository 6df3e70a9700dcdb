"""Commands about all that an installation has: its backups, and whether it is sound."""
