"""The console's figures for Prometheus, read from the database at scrape time.

In: which of them are asked for.  Out: families, each of which begins its HELP with whose figure it is.  A *database-wide* one is
the same from every web process, so it is scraped once; one of *this process* is scraped from each.
Counters count what is final, by rows that are never deleted, so none falls; each of their series is there from the start, at 0.
No lock is taken; the number of queries does not depend on the fleet.
"""

from failover_console.metrics.console import Console, Scope

__all__ = ["Console", "Scope"]
