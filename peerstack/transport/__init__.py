"""Pipes of messages between two devices. Knows nothing of signaling, sessions or records."""
