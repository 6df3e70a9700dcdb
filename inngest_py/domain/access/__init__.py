"""Who may call and be called: signatures, tokens, roles, hosts in reach."""
