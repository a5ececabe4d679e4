FACTOR = 1


def square(number: int) -> int:
    return FACTOR * number * number
