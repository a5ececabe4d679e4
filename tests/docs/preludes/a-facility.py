import pathlib
import tempfile

folder = pathlib.Path(tempfile.mkdtemp())
