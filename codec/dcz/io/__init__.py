"""Where bytes come from and go to: files, buffers, URLs."""
