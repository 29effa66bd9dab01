"""Applications: each may be deleted together with its row in `snellen.cli`."""
