"""Properties are tried on few, always the same examples; `--hypothesis-profile=long` tries many new ones."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("quick", max_examples=8, derandomize=True, deadline=None, database=None)
settings.register_profile("long", max_examples=1000, deadline=None)
if settings.get_current_profile_name() == "default":
    settings.load_profile("quick")
