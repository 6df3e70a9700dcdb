"""What operators can do to functions and runs, and what they can ask about them."""
