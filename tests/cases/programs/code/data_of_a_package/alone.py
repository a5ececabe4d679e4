from pathlib import Path


def note():
    return Path(__file__).with_name("notes.txt").read_text()
