"""Runs and their queue items: statuses, results, reruns, metadata, retention."""
