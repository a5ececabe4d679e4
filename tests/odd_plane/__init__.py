"""A control plane as it is when it is real: far, late, cut, away, shared, and strict.

::

    client ── Network: delays, cuts, holds, loses bytes ── Plane: late rows, doubled events, limits
                                                             └── what it stands in front of

``python -m tests.odd_plane TARGET --delay 0.04`` serves in a process of its own.
"""
