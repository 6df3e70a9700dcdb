"""The Flask edge: parse, one engine call, serialise."""
