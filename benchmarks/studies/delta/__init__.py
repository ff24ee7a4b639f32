"""Differences between checkpoints: how small, how fast, and against whom."""
