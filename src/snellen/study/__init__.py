"""Rating studies: plan, store, statistics of raters' answers. Arithmetic is arrays in, floats out."""
