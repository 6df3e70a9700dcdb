"""The app under test: how it is named, called in this process, and registered."""
