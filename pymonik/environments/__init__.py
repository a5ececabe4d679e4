"""Packages around a call: asked for at the client, resolved to a lock, built once, kept.

::

    client                                       cluster or worker
    asked ─► requirements, projects, here        builds (one object for each environment)
          ─► local_packages (wheels)               ├─► locks      resolving
          ─► Environment, which travels ─────────► ├─► folders    building, kept in the cache
                                                   └─► installer  uv, as a child process
"""
