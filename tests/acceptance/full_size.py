"""How large tests of kills are: small in the suite, in full size with `make kills`."""

import os

SEEDS = [int(seed) for seed in os.environ.get("INNGEST_KILLS", "").split(",") if seed]
FULL = bool(SEEDS)
