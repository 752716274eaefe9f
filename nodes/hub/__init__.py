"""Live pages: one hub in each web process reads what changed, renders it once, and sends it to every open page.

PostgreSQL is the truth.  A hint over Redis only makes the hub look sooner; without any it looks every second.
"""

from nodes.hub.channel import Channel, Subscriber, Topic
from nodes.hub.loop import Hub, hub

__all__ = ["Channel", "Hub", "Subscriber", "Topic", "hub"]
