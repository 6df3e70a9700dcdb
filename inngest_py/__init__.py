"""inngest_py: a durable function server that speaks the Inngest protocol."""
