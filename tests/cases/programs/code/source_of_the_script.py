"""`inspect` gives the source of what the script defines where its tasks run, classes included."""

import inspect

from pymonik import Pymonik, task


def helper():
    return 1  # a line of the helper


class Shape:
    area = 3  # a line of the class

    def grow(self):
        return self.area + 1  # a line of the method


def run():
    @task
    def nested():
        return inspect.getsource(Shape)

    return nested.invoke().result(60)


@task
def sources():
    assert inspect.getsourcefile(Shape).endswith("main.py")
    return [inspect.getsource(one) for one in (helper, Shape, Shape.grow)]


if __name__ == "__main__":
    with Pymonik():
        of_helper, of_class, of_method = sources.invoke().result(60)
        assert "a line of the helper" in of_helper
        assert of_class.startswith("class Shape:") and "a line of the method" in of_class
        assert "a line of the method" in of_method
        assert run() == of_class
