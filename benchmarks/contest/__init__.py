"""The contest: every peer in a process of its own, asked in turns."""
