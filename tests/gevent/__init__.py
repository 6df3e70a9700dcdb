"""Tests that run once more under gevent, as the code that they test does in production."""
