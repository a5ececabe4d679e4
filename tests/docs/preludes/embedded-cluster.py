import atexit
import os
import tempfile

from pymonik import LocalCluster, Pymonik, task
from pymonik.cluster import kept

home = tempfile.TemporaryDirectory()
os.environ["XDG_STATE_HOME"] = home.name
atexit.register(kept.stop)


@task
def simulate(mesh):
    return mesh
