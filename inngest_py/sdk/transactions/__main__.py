"""`python -m inngest_py.sdk.transactions sql --dialect postgresql`: print the table's SQL."""

from .table import TABLE

TABLE.main()
