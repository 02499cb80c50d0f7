"""One device, sans I/O: events in, effects out. Loads what the rules need from the store."""

from peerstack.engine.device import Engine
from peerstack.engine.turn import Turn

__all__ = ["Engine", "Turn"]
