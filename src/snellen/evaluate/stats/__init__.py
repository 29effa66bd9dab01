"""Statistics of an evaluation: arrays in, floats out. No function here reads a file or opens a model."""
