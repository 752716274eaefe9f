"""Where decisions become rows: `pools` is the one transaction of a pool, `claims` says who checks what; all SQL of the hot path."""

from nodes.ledger.claims import Claim, ClaimBatch, claim
from nodes.ledger.pools import Applied, PoolGoneError, Result, advance, transact
from nodes.ledger.results import store_results
from nodes.ledger.sweep import pools_needing_attention, pull_in_due_times

__all__ = [
    "Applied",
    "Claim",
    "ClaimBatch",
    "PoolGoneError",
    "Result",
    "advance",
    "claim",
    "pools_needing_attention",
    "pull_in_due_times",
    "store_results",
    "transact",
]
