from pymonik import Pymonik, task


@task
def double(n):
    return 2 * n


if __name__ == "__main__":
    pk = Pymonik().create()
    handles = double.map_invoke(range(5))
