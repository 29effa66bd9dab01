"""Report of an evaluation: tables, plots and the HTML page."""
