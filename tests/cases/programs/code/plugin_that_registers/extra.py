import kinds


@kinds.register
def shout(text):
    return text.upper()
