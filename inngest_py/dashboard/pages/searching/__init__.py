"""The forms of what the list of runs is searched by: search keys and saved views."""
