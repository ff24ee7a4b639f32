"""A writer of any file, right or wrong, after SPEC.md: what `spec/vectors` and `spec/generate.py` are made with."""
