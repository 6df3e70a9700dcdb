"""Realtime: who is subscribed in this process, and what it gets."""
