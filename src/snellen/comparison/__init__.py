"""Two or more pictures: which is better, how surely, and which faults make the difference."""
