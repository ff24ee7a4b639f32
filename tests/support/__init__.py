"""What several tests need: arrays to store, files made by hand, file objects that fail."""
