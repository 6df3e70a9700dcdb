"""The routes that SDKs call: events, registration, state, checkpoints, signals."""
