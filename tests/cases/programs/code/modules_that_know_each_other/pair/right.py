from pair import left


class Right(Exception):
    def other(self):
        return left.Left()
