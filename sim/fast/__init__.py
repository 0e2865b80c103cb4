"""The fast engine: the same waits as ``sim.reference`` from the same draws, compiled."""
