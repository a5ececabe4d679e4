from pymonik import Pymonik, task
import numpy as np

@task 
def add(a, b):
    return a + b

@task
def sum_arrays(arrays):
    return np.sum(arrays)

with Pymonik(endpoint="localhost:5001", environment={"pip":["numpy"]}):
    intermediate_result = add.map_invoke( #(1)
        [(np.random.randint(0,10, size=(3,3)) ,np.random.randint(0,10, size=(3,3))) for _ in range(10)]
    ) 
    final_result = sum_arrays.invoke(intermediate_result).wait().get()
    print(final_result)

