"""The harness: every peer in a process of its own, asked in turns."""
