"""Tables that the commands print: a module for each command."""
