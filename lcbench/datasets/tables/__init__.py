"""The user's own data: a table in CSV, NPZ or HDF5 becomes what a classifier is trained, chosen and tested on."""

from lcbench.datasets.tables.reading import read

__all__ = ["read"]
