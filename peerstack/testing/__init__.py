"""For apps' tests and our own: simulated worlds, contract checks, strategies."""
