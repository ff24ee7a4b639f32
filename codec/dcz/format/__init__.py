"""The file and its index (SPEC 6 and 7): prelude, trailer, columns, directory, metadata."""
