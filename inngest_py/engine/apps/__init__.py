"""Apps: registered by a sync, by hand or by polling, moved, archived, erased."""
