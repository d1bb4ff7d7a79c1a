"""Measurements, run from the root of the repository: `python -m benchmarks`, or `python -m benchmarks.augment`."""
