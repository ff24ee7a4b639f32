"""The verbs together, and what happens when one fails: one line on standard error and an exit code.

1: the files are at fault (or the disk, or the network); 2: the command line is. `diff` has the codes of `diff`, where
1 says that the files differ: whatever fails is 2. 128 + N: signal N ended it.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from dcz.cli import apply, compare, diff, fold, inspect, merge, pack, plan, streams, unpack, verify
from dcz.text import printable

app = typer.Typer(
    name="dcz",
    help="Pruned and clustered neural network weights, small on disk.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(pack.pack)
app.command()(plan.plan)
app.command()(unpack.unpack)
app.command()(inspect.inspect)
app.command()(verify.verify)
app.command()(diff.diff)
app.command()(merge.merge)
app.command()(compare.compare)
app.command()(apply.apply)
app.command()(fold.fold)


def _version(value: bool) -> None:
    if value:
        from dcz import kernels
        from dcz.format.trailer import FORMAT_VERSION
        from dcz.version import __version__

        streams.say(f"dcz {__version__}, format version {FORMAT_VERSION}, kernels {kernels.active().name}")
        raise typer.Exit


# The verb that runs. `diff` fails with another code than the others.
_running = {"verb": ""}


@app.callback()
def _options(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show version, format and kernels.")
    ] = False,
) -> None:
    _running["verb"] = context.invoked_subcommand or ""


def run() -> None:
    """Runs the command line and exits."""
    streams.prepare()
    streams.catch_signals()
    sys.exit(_run())


def _run() -> int:
    from dcz.errors import DczError

    _running["verb"] = ""
    try:
        code = app(prog_name="dcz", standalone_mode=False)
        streams.flush()
        if code == 130:  # how typer reports Ctrl-C
            return _fail("interrupted", 130)
        return code if isinstance(code, int) else 0
    except DczError as error:
        return _fail(str(error))
    except streams.OutputError as error:
        streams.discard()
        return _fail("" if error.reader_left else str(error))
    except OSError as error:
        name = f"{error.filename}: " if error.filename else ""
        return _fail(f"{name}{error.strerror or error}")
    except MemoryError:
        return _fail("not enough memory")
    except KeyboardInterrupt:
        return _fail("interrupted", 130)
    except streams.Stopped as stopped:
        return _fail(f"stopped by {stopped}", stopped.code)
    except Exception as error:  # click's own errors know their message and exit code
        if type(error).__name__ == "Abort":
            return _fail("interrupted", 130)
        if not hasattr(error, "format_message"):
            raise
        if type(error).__name__ == "NoArgsIsHelpError":
            streams.warn(error.format_message())
            return 2
        return _fail(error.format_message(), getattr(error, "exit_code", 2))


def _fail(message: str, code: int | None = None) -> int:
    """Says what failed, and gives the exit code: that of the verb where there is none."""
    if message:
        streams.warn("dcz: " + printable(" ".join(message.split())))
    return code if code is not None else 2 if _running["verb"] == "diff" else 1
