"""The command line: `dcz pack | unpack | inspect | verify | diff`."""

from __future__ import annotations


def main() -> None:
    """Entry point of the `dcz` command."""
    from dcz.cli.app import run

    run()


__all__ = ["main"]
