pymonik = Pymonik(partition="my_pymonik_partition")
