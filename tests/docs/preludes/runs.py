from pymonik import Pymonik, get_context, task


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
h = simulate.invoke(1, 0.5)
lines: list[object] = []
