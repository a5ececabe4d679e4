@task 
def add(a, b):
    return a + b

@task
def multiply(a,b):
    return a*b

with Pymonik(endpoint="localhost:5001"):
    intermediate_result = add.invoke(2, 3) #(1)
    final_result = multiply.invoke(intermediate_result, 5).wait().get()
    print(final_result)
