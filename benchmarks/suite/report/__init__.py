"""What a run says: tables, targets, a plot."""
