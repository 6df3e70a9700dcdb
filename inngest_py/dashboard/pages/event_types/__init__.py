"""The pages of event types, and what forms ask about them."""
