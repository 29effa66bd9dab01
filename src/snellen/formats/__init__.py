"""Formats of picture files that need more than Pillow's own reader: one module for each."""
