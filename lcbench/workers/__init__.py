"""Worker processes, which run code that may do anything: each job is one process's, or one after the other."""
