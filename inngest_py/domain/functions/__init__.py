"""Functions: what an SDK or an operator may say of one, checked."""
