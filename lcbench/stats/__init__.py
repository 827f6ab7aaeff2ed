"""From samples to statements: pure functions on records."""
