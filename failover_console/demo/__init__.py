"""A fleet to try the console on: nine servers with switches, a stand-in for Slack and PagerDuty, one click to remove it."""

from failover_console.demo.inventory import add, installed, inventory_of, remove

__all__ = ["add", "installed", "inventory_of", "remove"]
