"""For apps: what the Python SDK lacks. It needs `inngest` and no part of the server.

Install it with `pip install inngest-py[sdk]`.
"""
