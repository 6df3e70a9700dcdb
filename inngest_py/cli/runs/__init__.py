"""The commands about runs: `runs` and `tail`."""
