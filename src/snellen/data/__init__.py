"""Making and reading what the model learns from: distortions, features, samples."""
