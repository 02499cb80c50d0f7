"""Notes from and to other programs: Markdown, Google Keep, JSON Lines."""
