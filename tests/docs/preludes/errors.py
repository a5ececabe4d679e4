from pymonik import Pymonik, task


@task
def parse(text):
    return int(text)


pk = Pymonik().create()
