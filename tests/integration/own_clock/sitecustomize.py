"""For processes under libfaketime, whose `clock_nanosleep` refuses what Python's `time.sleep` asks of it."""

import select
import time


def _sleep(seconds: float) -> None:
    select.select([], [], [], max(0.0, seconds))


time.sleep = _sleep
