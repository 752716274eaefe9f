"""A fleet to try the console on: nine servers with switches, a receiver that behaves as Slack and PagerDuty do, one click to remove."""

from failover_console.demo.records import add, installed, remove

__all__ = ["add", "installed", "remove"]
