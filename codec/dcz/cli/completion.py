"""`dcz completion SHELL`: the script that teaches a shell the verbs, the options and their values."""

from __future__ import annotations

import os
from typing import Annotated, Optional

import typer

from dcz.cli import streams
from dcz.cli.common import Misuse
from dcz.cli.options import values

# Each shell, and what to do with its script.
_HOW = {
    "bash": 'eval "$(dcz completion bash)", in ~/.bashrc',
    "zsh": 'eval "$(dcz completion zsh)", in ~/.zshrc, after compinit',
    "fish": "dcz completion fish > ~/.config/fish/completions/dcz.fish",
    "powershell": "dcz completion powershell | Out-String | Invoke-Expression, in $PROFILE",
    "pwsh": "dcz completion pwsh | Out-String | Invoke-Expression, in $PROFILE",
}


def completion(
    shell: Annotated[
        Optional[str],
        typer.Argument(
            metavar="[SHELL]",
            help="bash, zsh, fish, powershell or pwsh; by default that of $SHELL.",
            autocompletion=values(_HOW),
        ),
    ] = None,
    install: Annotated[bool, typer.Option("--install", help="Add the script to the shell's own files.")] = False,
) -> None:
    """Print a script that completes verbs, options and their values in a shell, or install it.

    Example: eval "$(dcz completion zsh)"
    """
    name = shell or os.path.basename(os.environ.get("SHELL", ""))
    if name not in _HOW:
        found = f"{name!r:.80} is unknown" if name else "the variable SHELL is not set"
        raise Misuse(f"SHELL: {found}; expected one of {', '.join(_HOW)}")
    from typer import completion as scripts

    if install:
        _, path = scripts.install(shell=name, prog_name="dcz")
        streams.say_printable(f"{path}: written; open a new shell")
        return
    script = scripts.get_completion_script(prog_name="dcz", complete_var="_DCZ_COMPLETE", shell=name)
    streams.say(f"{script}\n\n# {_HOW[name]}")  # a line #compdef has to be the first
