"""The Django admin of the console: what is declared is edited here, what happened is read here.

Live state is never edited here.  People's acts go through `nodes.operations`, and each edit is told as an event.
"""

from nodes.admin import history, inventory, people, policies, pools, tokens

__all__ = ["history", "inventory", "people", "policies", "pools", "tokens"]
