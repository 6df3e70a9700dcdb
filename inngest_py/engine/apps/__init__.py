"""Apps: sync them, add them by hand, find them by polling, move, archive and erase them."""
