"""Statistics on records: pure functions."""
