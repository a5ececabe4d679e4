from pymonik import Pymonik, task
import numpy as np

@task 
def add(a, b):
    return a + b

@task
def sum_arrays(arrays):
    return np.sum(arrays)

with Pymonik(endpoint="localhost:5001", environment={"pip":["numpy"]}):
    intermediate_result = add.map_invoke( 
        [(np.random.randint(0,10, size=(3,3)) ,np.random.randint(0,10, size=(3,3))) for _ in range(10)]
    ) 
    partial_final_1 = sum_arrays.invoke(intermediate_result[:5]) #(1)
    partial_final_2 = sum_arrays(intermediate_result[5:].wait().get()) #(2)
    final_result = add(partial_final_1.wait().get(), partial_final_2) #(3)
    print(final_result)

