"""`python -m family_notes.demo`."""

import sys

from family_notes.demo.story import main

if __name__ == "__main__":
    sys.exit(main())
