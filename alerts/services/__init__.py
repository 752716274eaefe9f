"""Turns events into delivered messages: `routing` decides and writes, `dispatch` leases and records, `runner` works a term."""
