"""The parts of the page of a run: what it leads with, its timeline, its log and its values."""
