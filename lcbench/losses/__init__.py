"""Implementations of the two losses, their catalog and the float64 oracle. Imports nothing else of lcbench."""
