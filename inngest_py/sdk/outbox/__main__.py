"""`python -m inngest_py.sdk.outbox sql --dialect postgresql`: print the table's SQL."""

from .table import TABLE

TABLE.main()
