"""`python -m family_notes` is the command `family-notes`."""

from family_notes.cli import main

if __name__ == "__main__":
    main()
