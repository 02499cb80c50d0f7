"""The asyncio shell around the engine, and the public face of a device."""
