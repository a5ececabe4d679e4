from pymonik import Pymonik
