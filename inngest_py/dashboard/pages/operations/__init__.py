"""The pages of operations, in one module."""
