VECTOR_SIZE_THRESHOLD = 512

@task
def aggregate_results(result_1, result_2) -> np.ndarray:
    return np.concatenate([result_1, result_2])

@task
def vec_add(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    if a.size > VECTOR_SIZE_THRESHOLD:
        mid_point = a.size // 2 #(1)!
        a1, a2 = np.split(a, [mid_point])
        b1, b2 = np.split(b, [mid_point])

        result_handle1 = vec_add.invoke(a1, b1) #(2)!
        result_handle2 = vec_add.invoke(a2, b2)

        return aggregate_results.invoke(result_handle1, result_handle2, delegate=True) #(3)!
    else:
        return a + b #(4)!
