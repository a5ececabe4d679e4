from importlib import resources
from pathlib import Path


def of_file():
    return (Path(__file__).parent / "data" / "stock.txt").read_text()


def of_resource():
    return (resources.files("shop") / "data" / "stock.txt").read_text()
