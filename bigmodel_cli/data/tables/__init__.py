"""Tables on disk and in memory: what their columns hold, and reading them in batches."""
