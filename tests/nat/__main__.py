"""Which pairs of devices connect directly, which by TURN, and which not without it: a table.

Ends with 1 where that is not as it is to be.
"""

from __future__ import annotations

import sys

from tests.nat.pairing import EXPECTED, found
from tests.nat.table import table
from tests.services import missing


def main() -> int:
    """Try all pairs and print the table."""
    if lacking := missing("turnserver", "nft"):
        sys.exit(f"not installed: {', '.join(lacking)}; .ci/ensure-services installs them")
    ways = found(EXPECTED)
    print(table(ways))
    wrong = [pairing for pairing in EXPECTED if ways[pairing] != EXPECTED[pairing]]
    for one, other, between in wrong:
        kind = "" if between else ", with no route between them"
        print(f"not as expected: {one} and {other}{kind}", file=sys.stderr)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
