numpy_sum = Task(np.sum)
