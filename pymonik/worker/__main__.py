"""``python -m pymonik.worker``: serve until SIGTERM."""

from pymonik.worker.server import run_pymonik_worker

if __name__ == "__main__":
    run_pymonik_worker()
