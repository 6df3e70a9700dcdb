"""Operations: many runs changed, or many events replayed, in the background (pure rules)."""
