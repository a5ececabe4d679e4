"""A result that an earlier run of the script made is of the classes that the script has now."""

import pickle
import subprocess
import sys

from pymonik import Pymonik, task
from pymonik.cluster.local import LocalCluster


class Point:
    def __init__(self, x):
        self.x = x

    def twice(self):
        return 2 * self.x


@task
def make(x):
    return Point(x)


@task
def keep(point):
    assert pickle.loads(pickle.dumps(point)).x == point.x
    return type(point).__module__


if __name__ == "__main__":
    from pymonik.code import codec

    if len(sys.argv) > 1:
        sys.stdout.buffer.write(codec.dumps(Point(4)))
        sys.exit()
    earlier = subprocess.run([sys.executable, __file__, "make"], capture_output=True, check=True)
    point = codec.loads(earlier.stdout)
    assert type(point) is Point and point.twice() == 8
    with LocalCluster(workers=1) as cluster, Pymonik(cluster):
        assert keep.invoke(point).result(60) == "__main__"
        assert type(make.invoke(3).result(60)) is Point
