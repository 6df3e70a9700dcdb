"""How large tests of kills are: small in the suite, in full size with `make kills`."""

import os

import pytest

SEEDS = [int(seed) for seed in os.environ.get("INNGEST_KILLS", "").split(",") if seed]
FULL = bool(SEEDS)

# other forms of what the suite tries, or what the suite has smaller tests for
WITH_KILLS = pytest.mark.skipif(not FULL, reason="takes a minute: make kills")
