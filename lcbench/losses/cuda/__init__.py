"""Parts of `numba_cuda`: backend, matrices on the device, tiles and kernels."""
