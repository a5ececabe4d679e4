from model import attribute, lists, named

LIMIT = 0


def by_attribute(value):
    attribute.RATE = value


def by_global(value):
    global LIMIT
    LIMIT = value


def by_text(**values):
    for name, value in values.items():
        setattr(named, name, value)


def in_place(value):
    lists.NAMES[:] = [value]
