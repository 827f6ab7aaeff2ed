"""What is shown of work under way, on standard error: a bar where that is a terminal, lines where it is not."""
