"""The limits of the slots app, for its tests as well: those may not import an SDK.

The Python SDK's own import warns with newer pydantics, and a warning fails a test.
"""

# two limits at once for a function; a group that two functions of the environment share, by key;
# one of the account, which two others share
MOST = {"keyed": 2, "keyed-all": 6, "env": 1, "account": 3}
