"""Where decisions become rows: `pools` is the one transaction of a pool, `claims` says who checks what, `fleet` holds all."""

from nodes.ledger.claims import CalmPass, Claim, Round, claim, open_session, pass_calmly, pools_needing_attention, store_results
from nodes.ledger.pools import Applied, PoolGoneError, Result, advance, transact

__all__ = [
    "Applied",
    "CalmPass",
    "Claim",
    "PoolGoneError",
    "Result",
    "Round",
    "advance",
    "claim",
    "open_session",
    "pass_calmly",
    "pools_needing_attention",
    "store_results",
    "transact",
]
