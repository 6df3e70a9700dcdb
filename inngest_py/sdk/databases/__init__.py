"""The databases of apps: one way into a transaction, through whatever library the app uses.

`choose` finds that way for what the app passes. SQLAlchemy and Django are imported only for who
passes one of theirs.
"""
