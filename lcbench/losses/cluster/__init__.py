"""Loss on many machines: the Dask cluster, the chunks of rows of its workers, and files that all workers read."""
