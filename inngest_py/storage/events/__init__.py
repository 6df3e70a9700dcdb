"""Events, and the open waits and cancellations that later events may match."""
