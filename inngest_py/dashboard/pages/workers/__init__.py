"""Pages of workers: processes of ours, and connected workers of apps."""
