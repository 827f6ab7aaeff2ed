"""One loss on many machines: a Dask cluster, its workers' chunks of rows, and the tree in which their sums meet."""
