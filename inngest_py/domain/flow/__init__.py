"""The pure rules of flow control: which events start runs, and when; which requests get slots."""
