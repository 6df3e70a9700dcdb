"""The pure rules of flow control: what an event that matches a function leads to, and when."""
