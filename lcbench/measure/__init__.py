"""Measurement: timing, verification, and the schedules of runs, sweeps and gates."""
