"""A program that may do no more to files than their modes say: root may do anything otherwise."""

from __future__ import annotations

import os
from typing import Final

_LESS: Final = "-dac_override,-dac_read_search"


def unprivileged() -> tuple[str, ...]:
    """The words that have a command run so."""
    if os.geteuid() != 0:
        return ()
    return ("setpriv", f"--bounding-set={_LESS}", f"--inh-caps={_LESS}")
