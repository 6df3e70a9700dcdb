"""The roots, to which each module adds its queries and mutations."""

from ariadne import MutationType, QueryType

query = QueryType()
mutation = MutationType()
