"""The roots that every subject adds its queries and mutations to."""

from ariadne import MutationType, QueryType

query = QueryType()
mutation = MutationType()
