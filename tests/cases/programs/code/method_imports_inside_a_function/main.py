"""A task imports a class inside its body: it is the class of the argument."""

from fruit.basket import Basket
from pymonik import Pymonik, task


@task
def describe(basket):
    from fruit.basket import Basket as Known
    from fruit.basket import colour

    assert isinstance(basket, Known), type(basket)
    return [colour(name) for name in basket.names]


if __name__ == "__main__":
    with Pymonik():
        assert describe.invoke(Basket("apple")).result(60) == ["dark red"]
