"""The page of `snellen serve` and `snellen browse`: HTML, CSS and JavaScript, served as they are."""
