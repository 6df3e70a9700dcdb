"""Events, and the open waits and subscriptions that later events may match."""
