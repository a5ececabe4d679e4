from model import attribute, lists, named, parts, setup


def values():
    size = parts.part_3.SIZE
    return attribute.RATE, setup.LIMIT, named.SEED, lists.NAMES, size
