def zweites():
    return 2
