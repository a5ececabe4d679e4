import arithmetic

from pymonik import task


class Node:
    def __init__(self, child=None):
        self.child = child

    def depth(self):
        return 0 if self.child is None else 1 + self.child.depth()


@task
def square(x):
    return arithmetic.square(x)


@task
def fan(n):
    return square.map_invoke(range(n))


@task
def wrap(child):
    return Node(child)


@task
def build(n):
    return wrap.invoke(build.invoke(n - 1)) if n else Node()
