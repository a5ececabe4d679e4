import pathlib
import types

from pymonik import Pymonik

pathlib.Path("plugins").mkdir()
pathlib.Path("data").mkdir()
pathlib.Path("data/model.bin").write_bytes(b"model")
pathlib.Path("config.py").write_text("SEED = 0\n")
args = types.SimpleNamespace(seed=7)
