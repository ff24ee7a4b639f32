"""What a packed file costs and gains, measured beside everything a user would pick instead. See README.md here."""
