"""Reads for people: lists, pages, timelines, figures, and why something waits."""
