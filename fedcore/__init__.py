"""Distributed and federated learning in NumPy and processes, written to be read."""
