import limits
from limits import RATE

AT_IMPORT = limits.RATE * 100


def of(n):
    limits.SEEN.append(n)
    return n * limits.RATE, RATE, AT_IMPORT, limits.NAMES, len(limits.SEEN)
