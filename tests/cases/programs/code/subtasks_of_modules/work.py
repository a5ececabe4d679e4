import low
from pymonik import task


class Node:
    def __init__(self, below: "Node | None" = None) -> None:
        self.below = below

    def depth(self) -> int:
        return 0 if self.below is None else 1 + self.below.depth()


@task
def square(number: int) -> int:
    return low.square(number)


@task
def fan(count: int) -> list[int]:
    return square.map_invoke(range(count))


@task
def wrap(node: Node) -> Node:
    return Node(node)


@task
def build(depth: int) -> Node:
    return wrap.invoke(build.invoke(depth - 1)) if depth else Node()
