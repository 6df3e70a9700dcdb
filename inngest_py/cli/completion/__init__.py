"""Completion of what is typed in a shell: the script that sets it up, and names from the server."""
