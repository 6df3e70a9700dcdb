"""Alerts: which conditions operators are told of, in what words, and by whom they are received."""
