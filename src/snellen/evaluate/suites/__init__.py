"""Suites: one module each, all of one shape."""
