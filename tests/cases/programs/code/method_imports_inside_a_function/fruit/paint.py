def shade(colour):
    return f"dark {colour}"
