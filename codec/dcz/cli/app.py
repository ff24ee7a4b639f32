"""The verbs together, and what happens when one fails: one line on standard error and an exit code.

1: the files are at fault (or the disk, or the network); 2: the command line is. `diff` has the codes of `diff`, where
1 says that the files differ: whatever fails is 2. 128 + N: signal N ended it.
"""

from __future__ import annotations

import errno
import os
import sys
import warnings
from typing import Annotated

import typer

from dcz.cli import (
    apply,
    compare,
    completion,
    diff,
    explain,
    fold,
    inspect,
    manual,
    merge,
    pack,
    plan,
    shrink,
    streams,
    unpack,
    verify,
)
from dcz.text import printable

app = typer.Typer(
    name="dcz",
    help="Pruned and clustered neural network weights, small on disk. A word that you do not know: dcz explain WORD",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,  # dcz completion names the shell
    context_settings={"help_option_names": ["-h", "--help"]},
)
for verb, summary in (
    (pack.pack, "Pack a model into a .dcz file, bit for bit."),
    (unpack.unpack, "Unpack a .dcz file into another format."),
    (inspect.inspect, "Show what is in a .dcz file, and its bytes."),
    (compare.compare, "Show a model's size in every layout."),
    (verify.verify, "Check every checksum of a .dcz file."),
    (diff.diff, "Compare the tensors of two files."),
    (plan.plan, "Choose how far to prune and cluster."),
    (shrink.shrink, "Make a model as small as samples allow."),
    (merge.merge, "Merge several .dcz files into one."),
    (apply.apply, "Apply a file of differences to its base."),
    (fold.fold, "Make one of two files of differences."),
    (explain.explain, "Explain a term, such as CSR or codebook."),
    (completion.completion, "Print or install completion for a shell."),
    (manual.manual, "Print the manual page."),
):
    app.command(short_help=summary)(verb)


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

    _running["verb"] = streams.interrupted["advice"] = ""
    if "_DCZ_COMPLETE" in os.environ:
        from typer.completion import completion_init

        completion_init()
    try:
        with warnings.catch_warnings():
            _calm_warnings(sys.argv)
            code = app(prog_name="dcz", standalone_mode=False)
        streams.flush()
        if code == 130:  # how typer reports Ctrl-C
            return _fail("interrupted" + streams.interrupted["advice"], 130)
        return code if isinstance(code, int) else 0
    except SystemExit as end:  # of click, where the reader of a help is gone
        streams.discard()
        return end.code if isinstance(end.code, int) else 1
    except DczError as error:
        return _fail(str(error))
    except streams.OutputError as error:
        streams.discard()
        return _fail("" if error.reader_left else str(error))
    except OSError as error:
        if {"-h", "--help"} & set(sys.argv):  # printed by click, and nothing else is written
            streams.discard()
            return _fail("" if error.errno == errno.EPIPE else f"standard output: {error.strerror or error}", 1)
        name = f"{error.filename}: " if error.filename else ""
        return _fail(f"{name}{error.strerror or error}")
    except MemoryError:
        return _fail("not enough memory")
    except KeyboardInterrupt:
        return _fail("interrupted" + streams.interrupted["advice"], 130)
    except streams.Stopped as stopped:
        return _fail(f"stopped by {stopped}{streams.interrupted['advice']}", stopped.code)
    except Exception as error:  # click's own errors know their message and exit code
        if type(error).__name__ == "Abort":
            return _fail("interrupted" + streams.interrupted["advice"], 130)
        if not hasattr(error, "format_message"):
            raise
        if type(error).__name__ == "NoArgsIsHelpError":
            streams.warn(error.format_message())
            return 2
        return _fail(error.format_message(), getattr(error, "exit_code", 2))


def _calm_warnings(arguments: list[str]) -> None:
    """Warnings as one line on standard error; none where the caller asked for errors or data alone."""
    if {"-q", "--quiet", "--json"} & set(arguments):
        warnings.simplefilter("ignore")

    def show(message: Warning | str, *more: object, **options: object) -> None:
        streams.warn(f"dcz: warning: {message}")

    warnings.showwarning = show


def _fail(message: str, code: int | None = None) -> int:
    """Says what failed, and gives the exit code: that of the verb where there is none."""
    if message:
        streams.warn("dcz: " + printable(" ".join(message.split())))
    return code if code is not None else 2 if _running["verb"] == "diff" else 1
