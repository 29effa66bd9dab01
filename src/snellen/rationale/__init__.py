"""Facts about a picture, worded: the four sections of a rationale."""
