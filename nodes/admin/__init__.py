"""The Django admin of the console: inventory, policies, tokens and users are edited here, history is read here.

Live state is never edited here.  Actions go through `nodes.operations`, and each edit is recorded as an event.
"""

from nodes.admin import history, inventory, people, policies, pool, tokens

__all__ = ["history", "inventory", "people", "policies", "pool", "tokens"]
