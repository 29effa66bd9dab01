"""Files of the rating page."""
