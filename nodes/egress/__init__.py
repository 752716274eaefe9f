"""The one way out: every check, webhook and test button resolves, classifies and connects here.

The address that was classified is the one that is connected to; names are resolved once and strings prove nothing.
"""

from nodes.egress.names import Names, NameUnknownError, ResolverStanding, ResolverTroubleError, ascii_name
from nodes.egress.policy import Egress, EgressRefusedError
from nodes.egress.table import Standing, standing
from nodes.egress.web import DeliveryError, NotSentError, WebhookReply, open_webhook, target

__all__ = [
    "DeliveryError",
    "Egress",
    "EgressRefusedError",
    "NameUnknownError",
    "Names",
    "NotSentError",
    "ResolverStanding",
    "ResolverTroubleError",
    "Standing",
    "WebhookReply",
    "ascii_name",
    "open_webhook",
    "standing",
    "target",
]
