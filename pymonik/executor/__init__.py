"""Where user code runs: a child process that speaks frames over a socket, and the pool around it.

::

    pool ── process ══ socket (frames), pipes, memory that both share ══ __main__ ── run ── subtasks

    parent side   pool, process, line, ahead (runs sent ahead), chunk, output, reports,
                  memory_watch, submission (stand-ins become ids)
    child side    __main__, run, call_inputs, workplace (folder of a call), subtasks, surroundings
                  (what is put back after a call), printed, reporting, usage
    both          frames, endings, claims (who runs which call), tokens, stop_request, output_marks,
                  nameless (memory that both have mapped)

    Neither side knows gRPC: who starts a pool (a slot of the embedded cluster, or the worker beside
    ArmoniK's agent) does what reports and requests of tasks ask for.
"""
