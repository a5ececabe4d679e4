COLOURS = {"apple": "red"}
