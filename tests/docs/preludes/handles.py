from pymonik import Pymonik, task


@task
def double(n):
    return 2 * n


pk = Pymonik().create()
handles = double.map_invoke(range(5))
