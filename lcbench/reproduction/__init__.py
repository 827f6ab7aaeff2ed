"""Reproduction of published figures: each row of figures is computed again and compared with the printed numbers."""
