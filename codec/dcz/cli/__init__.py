"""The command line: `dcz pack | unpack | inspect | verify | diff | compare | plan`."""

from __future__ import annotations


def main() -> None:
    """Entry point of the `dcz` command."""
    try:
        from dcz.cli.app import run
    except KeyboardInterrupt:  # before anything was begun
        raise SystemExit(130) from None
    run()


__all__ = ["main"]
