"""What a script imports from its module by name is the module's own object in a task too."""

import state
from pymonik import LocalCluster, Pymonik, task
from state import add, box, engine, handle, handler, handlers, lazy, names, registry
from state import names as others


also_lazy = lazy


@handler
def double(value):
    return 2 * value


@task
def run(name):
    add(name)
    is_one = registry is state.registry and names is state.names is others
    return is_one and box is state.box and engine is state.engine, list(registry), box.count


@task
def asked():
    return engine.asked


@task
def handled(value):
    return handle("double", value), list(handlers)


if __name__ == "__main__":
    # One worker: the second call finds in the module what the first has left there.
    with LocalCluster(workers=1) as cluster, Pymonik(cluster):
        assert run.invoke("a").result(60) == (True, ["a"], 1)
        assert run.invoke("b").result(60) == (True, ["a", "b"], 2)
        assert asked.invoke().result(60) == 2
        registry["home"], box.count = None, 10
        assert run.invoke("c").result(60) == (True, ["home", "c"], 11)
        assert handled.invoke(4).result(60) == (8, ["double"])
    assert (list(registry), names, box.count, engine.asked) == (["home"], [], 10, 0)
