"""Values and how they are written: ids, times, durations, URLs, names, canonical JSON."""
