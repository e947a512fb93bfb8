"""Where examples come from, how they are split, and the batches made of them."""
