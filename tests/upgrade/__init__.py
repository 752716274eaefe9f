"""An upgrade loses nothing: databases that older releases made, taken over by the code of today.

`dumps/` holds one per release, `make_dump.py` makes the next one.
"""

# Throw-away keys of the dumps, of no use anywhere else.
ENCRYPTION_KEY = "dGhyb3ctYXdheS1rZXktb2YtdGhlLXVwZ3JhZGUtMDE="
SECRET_KEY = "throw-away-secret-key-of-the-upgrade-tests-0123456789"
