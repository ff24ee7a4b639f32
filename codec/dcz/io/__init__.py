"""Sources and sinks of bytes: files, buffers, URLs."""
