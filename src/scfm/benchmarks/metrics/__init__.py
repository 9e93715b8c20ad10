"""Metrics of an embedding, one a file: plain arrays in, one number out, NaN where the data does not define it."""
