"""One page for people: runs, calls, workers, partitions; live, or frozen into a file.

::

    states of handles ─┐                               ┌─► serving: live, on loopback, with a gate
                       ├─► run views ─► board ─► JSON ─┤
    rows of lists ─────┘                               └─► frozen: a file with its data in it

Nothing is computed while nobody looks: the page asks, and each answer is made for it. The page
itself is three files without anything from elsewhere, put together by `template`.
"""
