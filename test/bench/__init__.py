"""Times and memory of the engine beside the oracle, in one run on one machine."""
