"""Steps: what an SDK asks for by an opcode, and what each kind of step needs."""
