"""Statements that run often: SQLAlchemy writes their SQL once, the driver's own cursor runs it.

SQLAlchemy's own way to a statement costs 40 to 100 µs of CPU each time, on both databases; of a
run of five steps that would be a third. A module declares such a statement once, with the columns
of the rows that it is given, and runs it for as many rows as there are:

    _finish = EachRow({"item": Text(), "lease": Text()}, lambda row: delete(…).where(…))
    _finish.run(tx, [(item.id, item.lease_id) for item in items])

| declared as | what it is |
|---|---|
| `ManyRows` | one statement over all given rows; what it does may depend on several of them |
| `EachRow` | an INSERT, UPDATE or DELETE for each given row by itself |
| `Upsert` | an INSERT whose conflicts update the rows that are there |
| `Insert`, `InsertNew` | an INSERT of dicts; the second passes over rows that are there |
| `AfterLock` | a statement in one message with another that only takes locks |
| `SingleValue` | a query without parameters for one value |
| `PostgresStatement`, `PerRow` | any statement, for one database alone |

`run()` executes it and gives its rows. `later()`, where there is one, lets PostgreSQL have it with
the transaction's next statement or with its COMMIT, and gives nothing. Rarely run statements are
SQLAlchemy's, executed by `tx.execute()`.
"""

from .driver import PostgresStatement, columns, values
from .inserts import Insert, InsertNew
from .many_rows import AfterLock, EachRow, ManyRows, Upsert, given_row, unnested
from .per_row import PerRow, Result, given
from .scalar import SingleValue

__all__ = [
    "AfterLock",
    "EachRow",
    "Insert",
    "InsertNew",
    "ManyRows",
    "PerRow",
    "PostgresStatement",
    "Result",
    "SingleValue",
    "Upsert",
    "columns",
    "given",
    "given_row",
    "unnested",
    "values",
]
