"""Worker processes, in which user code and measurements run: starting them, and exchanging jobs and events."""
