"""Whether implementations are right: against the oracle on a table of cases, and gradients against slopes."""
