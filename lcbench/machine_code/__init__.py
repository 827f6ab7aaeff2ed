"""Machine code of implementations: loops that Numba compiles for the CPU, CUDA kernels for a GPU."""
