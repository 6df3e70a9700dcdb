"""Claim, call, plan, write: the one layer that joins storage and transport."""
