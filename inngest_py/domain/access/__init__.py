"""Who may call the server and whom it may call: signatures, tokens, roles, hosts in reach."""
