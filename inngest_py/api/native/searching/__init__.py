"""Routes of the list of runs, and of what it is searched by: search keys and saved views."""
