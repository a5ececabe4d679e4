import types

from pymonik import Pymonik, task

helper = types.SimpleNamespace(scale=abs)
pk = Pymonik().create()
