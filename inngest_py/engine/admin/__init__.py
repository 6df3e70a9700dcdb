"""What operators do to functions and runs, and what they are told."""
