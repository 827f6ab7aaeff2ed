"""Correctness of implementations: comparison with the oracle on a table of cases, and gradient checks."""
