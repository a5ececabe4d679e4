from pymonik import LocalCluster, Pymonik, task

cluster = LocalCluster(workers=2, port=0).start()
endpoint = cluster.endpoint
cases = [{"mesh": n, "dt": 0.5} for n in range(100)]


@task
def simulate(mesh, dt):
    return mesh * dt
