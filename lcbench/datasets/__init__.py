"""CIFAR-10 (download, verification, HDF5), synthetic images of its shape, and the preprocessing both share."""
