"""The queue: items that are due, their claims and leases, and the lines they wait in."""
