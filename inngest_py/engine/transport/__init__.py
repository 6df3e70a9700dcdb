"""HTTP clients: requests to SDKs, and the gateway calls of steps."""
