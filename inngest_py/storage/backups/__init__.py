"""Copies of whole installations: backups, and what is read back from them."""
