"""Single questions, each answered by one program: `python benchmarks/studies/density.py`, for example."""
