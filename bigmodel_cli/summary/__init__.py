"""What a config's model consists of, what it costs here, and how it looks."""
