"""What a process holds in its memory, byte for byte: Linux shows that to whoever started it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

_EMPTY: Final = bytes(4096)


def memory_of(pid: int) -> bytes:
    """All that a process may write to: its heap, stacks, and whatever its libraries hold."""
    regions = []
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            found = re.match(r"([0-9a-f]+)-([0-9a-f]+) rw", line)
            if found and "[vvar]" not in line:
                start, end = (int(each, 16) for each in found.groups())
                memory.seek(start)
                content = memory.read(end - start)
                # Much of it was never used.
                regions += [part for part in content.split(_EMPTY) if part]
    return b"\n#\n".join(regions)
