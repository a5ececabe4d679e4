"""`Pymonik(locals=False)`: no value of a variable comes with an error, of subtasks neither."""

from pymonik import LocalCluster, Pymonik, task


@task
def fails(given):
    secret = f"secret {given}"
    raise ValueError(len(secret))


@task
def parent(given):
    return fails.invoke(given, delegate=True)


def variables(error):
    frame = error.__traceback__
    while frame.tb_next is not None:
        frame = frame.tb_next
    return {name: repr(value) for name, value in frame.tb_frame.f_locals.items()}


def errors():
    handles = [fails.invoke(1), parent.invoke(1), *fails.map_invoke([1, 1], chunk_size=2)]
    return [handle.exception(60) for handle in handles]


if __name__ == "__main__":
    with LocalCluster(workers=1) as cluster:
        with Pymonik(cluster):
            assert all(variables(error)["secret"] == "'secret 1'" for error in errors())
        with Pymonik(cluster, locals=False):
            assert all(variables(error) == {} for error in errors())
