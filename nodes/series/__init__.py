"""What charts and strips are drawn of: values over a range in even buckets, each from few queries, counted as the reports count.

`ranges` says which ranges there are, `shares`, `latency` and `availability` read one pool or node over a range, `states` and
`present` read all pools at once.
"""

from nodes.series.availability import UPTIMES, Availability, Spell, availability_over, uptime
from nodes.series.latency import Latency, LatencyBucket, latency_over
from nodes.series.present import PoolPresent, pools_now, read_pools_now
from nodes.series.ranges import Range, Window
from nodes.series.shares import Change, NodeBand, Point, SharesOver, shares_over
from nodes.series.states import CellState, read_states_24h, states_24h

__all__ = [
    "UPTIMES",
    "Availability",
    "CellState",
    "Change",
    "Latency",
    "LatencyBucket",
    "NodeBand",
    "Point",
    "PoolPresent",
    "Range",
    "SharesOver",
    "Spell",
    "Window",
    "availability_over",
    "latency_over",
    "pools_now",
    "read_pools_now",
    "read_states_24h",
    "shares_over",
    "states_24h",
    "uptime",
]
