"""What workers did."""
