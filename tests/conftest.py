"""What holds for every test."""

from __future__ import annotations

from hypothesis import settings

# A property is about what holds, never about how long it took on a busy machine.
settings.register_profile("no-deadline", settings(deadline=None))
settings.load_profile("no-deadline")
