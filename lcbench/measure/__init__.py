"""How a time is taken, checked, and placed beside what the machine can do."""
