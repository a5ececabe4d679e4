from pymonik import task


@task
def add(a, b):
    return a + b
