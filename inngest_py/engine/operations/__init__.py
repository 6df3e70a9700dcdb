"""Operations: begin one, change it, and do the next chunk of one.

An operation walks what it has selected by id, chunk by chunk. Whoever does a chunk leases the
operation's row; the chunk's writes and the progress are one transaction that this lease fences.
"""
