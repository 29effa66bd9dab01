"""The training stages of the bundled model."""
