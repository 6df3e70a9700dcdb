"""Rules without I/O, clock, randomness or framework: same input, same answer."""
