"""The parts of the page of a run: what it leads with, its timeline, its log and its values.

A timeline goes from spans to `nodes` (what means something to people, in groups), then by a `view`
(what is unfolded) and a `time_axis` to the rows of a `waterfall`. `panel` shows the chosen part.
"""
