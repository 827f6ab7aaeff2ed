"""Two revisions, folders, interpreters or files measured in turn."""
