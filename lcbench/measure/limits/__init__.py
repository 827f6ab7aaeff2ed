"""What the machine can do at most, measured in the same run: memory, arithmetic, the GPU's, and BLAS."""
