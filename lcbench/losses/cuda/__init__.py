"""What `numba_cuda` is made of: the choice of backend and tile, matrices on the device, and the kernels."""
