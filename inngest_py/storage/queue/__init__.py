"""The queue: items that are due, their claims and leases, and their waiting lines."""
