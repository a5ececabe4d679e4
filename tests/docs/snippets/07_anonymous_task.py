add_task = Task(lambda a, b: a+b, func_name="add") 
add_task.map_invoke([(1,2), (1,3)])
