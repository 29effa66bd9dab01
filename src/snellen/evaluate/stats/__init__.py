"""Statistics: arrays in, floats out."""
