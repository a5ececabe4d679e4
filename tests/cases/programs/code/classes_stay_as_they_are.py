"""Reading a result changes no class of the program; in a worker a class is set again when it changed."""

import collections
import pickle
from unittest import mock

from pymonik import LocalCluster, Pymonik, task


class Settings:
    debug = False
    loaded = None
    items: dict = collections.OrderedDict()

    def name(self):
        return "real"


@task
def look(settings):
    if Settings.loaded is None:
        Settings.loaded = "big"
        fresh = True
    else:
        fresh = False
    return settings, Settings.debug, fresh, settings.name()


@task
def plain(settings):
    data = pickle.dumps(settings)
    assert type(pickle.loads(data)) is Settings
    return data


if __name__ == "__main__":
    with LocalCluster(workers=1) as cluster, Pymonik(cluster):
        handle = look.invoke(Settings())
        handle.wait(60)
        Settings.debug = True
        Settings.items["a"] = 1
        method = Settings.__dict__["name"]
        with mock.patch.object(Settings, "name", lambda self: "patched"):
            settings, debug, fresh, name = handle.get()
            assert settings.name() == "patched"
        assert (debug, fresh, name) == (False, True, "real")
        assert Settings.debug is True and Settings.loaded is None and Settings.items == {"a": 1}
        assert Settings.__dict__["name"] is method and type(settings) is Settings
        assert look.invoke(Settings()).result(60)[1:3] == (True, True)
        assert look.invoke(Settings()).result(60)[1:3] == (True, False)
        assert type(pickle.loads(plain.invoke(Settings()).result(60))) is Settings
