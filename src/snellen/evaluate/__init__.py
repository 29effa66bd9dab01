"""Evidence: what a model reaches on pictures whose truth is known. See `predict` for how a suite is written."""
