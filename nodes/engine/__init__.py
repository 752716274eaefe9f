"""What should happen: breaker, health, shares, guards and decisions, as frozen values and pure functions."""
