"""Routes of what lists of runs are searched by: search keys and saved views."""
