"""State of the host, its limits, and disturbances of a measurement."""
