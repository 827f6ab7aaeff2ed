"""A search for hyperparameters: what it tries, the processes that try it, and the file that it can go on from."""
