"""The failover console's settings, entry points and embedded services."""
