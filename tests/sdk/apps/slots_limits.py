"""The limits of the slots app, for its tests as well: those may not import an SDK.

The Python SDK's own import warns with newer pydantics, and a warning fails a test.
"""

# a function with two limits; a group by key that two functions share in the environment;
# a group that two other functions share in the account
MOST = {"keyed": 2, "keyed-all": 6, "env": 1, "account": 3}
