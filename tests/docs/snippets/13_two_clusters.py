pymonik1 = Pymonik( """""" ) #(1)
pymonik2 = Pymonik( """""" ) #(2)

my_task.invoke(arg1, arg2, pymonik=pymonik1) #(3)
my_task.invoke(arg1, arg2, pymonik=pymonik2) #(4)
