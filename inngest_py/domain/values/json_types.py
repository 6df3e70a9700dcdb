"""The types of JSON values.

- `Json`: any value that `canonical.loads` can give.
- `JsonObject`: a JSON object. Its values are `object`: users and apps write them, so code asks
  with `isinstance` before it uses one. What only reads an object takes a `Mapping[str, object]`.
- `JsonArray`: a JSON array, likewise.
"""

JsonObject = dict[str, object]
JsonArray = list[object]
Json = JsonObject | JsonArray | str | int | float | bool | None
