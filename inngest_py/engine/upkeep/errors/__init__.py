"""Services that keep error groups."""
