"""Where user code runs: a child process that speaks frames over a socket, and the pool around it.

::

    pool ── process ══ socket (frames), two pipes (output) ══ __main__ ── run ── subtasks
    parent side: pool, process, environments, submission       child side: run, cache, subtasks
"""
