"""Parts that web applications share: limits, guards, uploads, events, pages, running. No other app imports another."""
