"""Models bigger than memory: a synthetic checkpoint, and what packing, opening and loading it take."""
