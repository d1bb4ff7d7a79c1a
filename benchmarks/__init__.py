"""Measurements, run as scripts from the root of the repository: `python -m benchmarks.chain`."""
