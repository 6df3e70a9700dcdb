"""The type of JSON objects.

`JsonObject`: a JSON object as `canonical.loads` gives it, or one to be written. Its values are
`object`: users and apps write them, so code asks with `isinstance` before it uses one. What only
reads an object takes a `Mapping[str, object]`.
"""

JsonObject = dict[str, object]
