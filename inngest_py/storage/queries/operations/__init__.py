"""Lists of what goes on in the background: operations and bulk cancellations."""
