from pymonik import Pymonik, task


@task
def simulate(mesh, dt):
    if mesh == 17:
        raise ValueError(f"negative volume {mesh}")
    return mesh * dt


@task
def simulate2(mesh, dt):
    return mesh * dt


pk = Pymonik(on_unseen="ignore").create()
cases = [{"mesh": n, "dt": 0.5} for n in range(20)]
