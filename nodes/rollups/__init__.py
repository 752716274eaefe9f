"""What is remembered of the checks: in which `grains`, with which `histogram` of latencies, and for how long (`retention`)."""

from nodes.rollups.grains import roll_up
from nodes.rollups.histogram import BUCKETS, bucket, merged, quantile
from nodes.rollups.retention import Housekeeping, keep_partitions

__all__ = ["BUCKETS", "Housekeeping", "bucket", "keep_partitions", "merged", "quantile", "roll_up"]
