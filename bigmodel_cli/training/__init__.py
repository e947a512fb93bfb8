"""Training a config's model with `keras.Model.fit`."""
