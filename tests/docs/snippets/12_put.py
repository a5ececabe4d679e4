from pymonik import ResultHandle

with Pymonik() as pymonik:
    df = pd.read_csv("some_data.csv") #(1)!
    df_handle: ResultHandle[pd.Dataframe] = pymonik.put(df) #(2)!
    some_operation.invoke(df_handle) #(3)!
    some_other_operation.invoke(df_handle)
