"""The format: what client, worker, executor and cluster say to each other. Typed, no I/O."""
