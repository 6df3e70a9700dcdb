"""All that edges read: lists, pages, look-ups, timelines, figures, and why something waits.

Nothing here writes. `paging` is the pager of every list.
"""
