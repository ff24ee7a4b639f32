"""The verbs together, and what happens when one fails: one line on standard error and an exit code.

1: the files are at fault (or the disk, or the network); 2: the command line is. `diff` has the codes of `diff`.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from dcz.cli import compare, diff, inspect, pack, plan, unpack, verify
from dcz.text import printable

app = typer.Typer(
    name="dcz",
    help="Pruned and clustered neural network weights, small on disk.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command()(pack.pack)
app.command()(plan.plan)
app.command()(unpack.unpack)
app.command()(inspect.inspect)
app.command()(verify.verify)
app.command()(diff.diff)
app.command()(compare.compare)


def _version(value: bool) -> None:
    if value:
        from dcz import kernels
        from dcz.format.prelude import FORMAT_VERSION
        from dcz.version import __version__

        print(f"dcz {__version__}, format version {FORMAT_VERSION}, kernels {kernels.active().name}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show version, format and kernels.")
    ] = False,
) -> None: ...


def run() -> None:
    """Runs the command line and exits."""
    sys.exit(_run())


def _run() -> int:
    from dcz.errors import DczError

    try:
        code = app(standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except DczError as error:
        return _fail(str(error), 1)
    except BrokenPipeError:  # the reader of our output left; nothing more to say
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        name = f"{error.filename}: " if error.filename else ""
        return _fail(f"{name}{error.strerror or error}", 1)
    except MemoryError:
        return _fail("not enough memory", 1)
    except KeyboardInterrupt:
        return _fail("interrupted", 130)
    except Exception as error:  # click's own errors know their message and exit code
        if type(error).__name__ == "Abort":
            return _fail("interrupted", 130)
        if not hasattr(error, "format_message"):
            raise
        if type(error).__name__ == "NoArgsIsHelpError":
            print(error.format_message(), file=sys.stderr)
            return 2
        return _fail(error.format_message(), getattr(error, "exit_code", 2))


def _fail(message: str, code: int) -> int:
    if message:
        print("dcz: " + printable(" ".join(message.split())), file=sys.stderr)
    return code
