"""Values and their text: ids, times, durations, URLs, names, canonical JSON."""
