"""`snellen serve`: assessments over HTTP. The interface is described in docs/serve.md."""
