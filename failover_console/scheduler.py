"""Celery's beat, whose loop shows the supervisor that it turns: without ticks a runner that dies is replaced by nobody."""

from __future__ import annotations

from typing import Any

from celery.beat import PersistentScheduler

from failover_console.celery import PatientSigns


class SignedScheduler(PersistentScheduler):  # type: ignore[misc] # Celery ships no types
    """The persistent scheduler, with a sign of life at each tick."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._signs: PatientSigns | None = None

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """One turn of beat; the first one shows that it began."""
        if self._signs is None:  # not when made: `lazy` schedulers are made to be looked at
            self._signs = PatientSigns()
            self._signs.start()
        self._signs.turned()
        wait: float = super().tick(*args, **kwargs)
        return wait
