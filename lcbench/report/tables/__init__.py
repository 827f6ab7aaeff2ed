"""Tables of the commands, one module a command."""
