from pymonik import Pymonik, task
import numpy as np

@task 
def add(a, b):
    return a + b

@task
def multiply(a,b):
    return a*b

with Pymonik(endpoint="localhost:5001", environment={"pip":["numpy"]}): #(1) 
    intermediate_result = add.invoke(np.array([1,2,3]), np.array([2,1,0])) 
    final_result = multiply.invoke(intermediate_result, 2).wait().get()
    print(final_result)
