from pymonik import Pymonik, task

@task #(1)
def add(a, b): #(2)
    return a + b

with Pymonik(endpoint="localhost:5001"): #(3)
    result = add.invoke("Hello", " World!").wait().get()
    print(result)
