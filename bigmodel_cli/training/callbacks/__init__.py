"""What happens around the steps of `fit`; one concern a module, in the order of `trainer`."""
