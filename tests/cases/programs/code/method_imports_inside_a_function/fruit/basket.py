from fruit import COLOURS


class Basket:
    def __init__(self, *names):
        self.names = names


def colour(name):
    from fruit.paint import shade

    return shade(COLOURS[name])
