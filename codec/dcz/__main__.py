"""`python -m dcz` is the `dcz` command."""

from dcz.cli import main

main()
