"""Data in CSV, NPZ and HDF5 files, read as training, validation and test rows."""
