"""Values of earlier calls of the same code with the same arguments, found instead of computed.

::

    function ──► `canonical`, `codes` ──┐
    modules  ──► `reached` (a bundle) ──┼─► `keys`: code.environment.arguments
    arguments ─► `canonical` ───────────┘             │
                                  `entries`: small results of the cluster, by name

Two calls have the same key only if everything that a worker would run and read is the same. Where
that cannot be told, there is no key, and the call is computed.
"""
