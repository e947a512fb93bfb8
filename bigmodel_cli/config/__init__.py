"""The YAML vocabulary: reading a config with the place of every value, and its typed form."""
