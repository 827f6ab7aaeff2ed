"""Figures that others have published, computed here once more: one function a row, each number held against theirs."""
