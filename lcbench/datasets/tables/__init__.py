"""Tables of the user's own, in CSV, NPZ or HDF5, as training, validation and test rows."""
