"""From an event to a message that was sent: `routing` decides and writes, `dispatch` leases and records, `runner` works a term."""
