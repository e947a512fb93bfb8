"""Architectures: one a file, each a builder from a `DataSpec` to a Keras model."""
