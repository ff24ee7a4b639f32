"""The file and its index (SPEC 2 and 7): prelude, trailer, columns, directory, metadata."""
