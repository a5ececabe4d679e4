"""Parameters may have any name, also those that invoke itself could mean."""

from pymonik import Pymonik, Task, task


@task
def run(self, func=1, *, args=2, kwargs=3, timeout=4, name=5, chunk_size=6):
    return self, func, args, kwargs, timeout, name, chunk_size


class Box:
    @task
    def put(this, self, item):
        return self, item


if __name__ == "__main__":
    with Pymonik():
        assert run.invoke(self=0, func=9, args=8, kwargs=7, timeout=6, name=5).result(60)[:4] == (0, 9, 8, 7)
        assert run(self=0)[0] == 0
        assert run.map_invoke([{"self": 1, "func": 2}]).result(60)[0][:2] == (1, 2)
        assert Box().put.invoke(self=1, item=2).result(60) == (1, 2)
        assert Task(lambda self: self).invoke(self=3).result(60) == 3
