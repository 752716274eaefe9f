"""What is kept of the checks: in which `resolutions`, with which `histogram` of latencies, and for how long (`retention`)."""

from nodes.rollups.histogram import BUCKETS, bucket, merged, quantile
from nodes.rollups.resolutions import roll_up
from nodes.rollups.retention import Housekeeping, keep_partitions

__all__ = ["BUCKETS", "Housekeeping", "bucket", "keep_partitions", "merged", "quantile", "roll_up"]
