from pymonik import LocalCluster, Pymonik, task

cluster = LocalCluster(workers=2, port=0).start()
endpoint = cluster.endpoint
cases = [{"mesh": n, "dt": 0.5} for n in range(100)]


class NegativeVolumeError(ValueError):
    pass


@task
def simulate(mesh, dt):
    if mesh in (3, 17, 88):
        raise NegativeVolumeError(f"negative volume {mesh}")
    return mesh * dt


@task
def corrected(mesh, dt):
    return mesh * dt


client = Pymonik(endpoint, session="mesh-study").create()
