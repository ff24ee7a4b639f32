"""`dcz plan SRC`: which density and bit-width for which tensor, as a table and a recipe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Optional

import typer

from dcz.cli.common import Force, Json, Quiet, check_input, check_output, print_json, progress, show, size
from dcz.text import printable

if TYPE_CHECKING:
    from rich.table import Table

    from dcz.planning import Planned


def plan(
    src: Annotated[str, typer.Argument(help="The file to plan for: any that dcz pack reads.")],
    output: Annotated[
        Optional[str], typer.Option("--output", "-o", help="Write the recipe to this .toml or .json file.")
    ] = None,
    target_ratio: Annotated[Optional[float], typer.Option(help="Dense bytes per byte of the file, at least.")] = None,
    target_bytes: Annotated[Optional[int], typer.Option(help="Bytes of the file, at most.")] = None,
    max_rel_error: Annotated[
        Optional[float], typer.Option(help="Relative error of each tensor, at most; 0.1 is a tenth of its norm.")
    ] = None,
    names: Annotated[
        Optional[list[str]], typer.Option("--names", help="Only tensors whose names match; may be given again.")
    ] = None,
    weight_threshold: Annotated[int, typer.Option(min=0, help="Leave smaller tensors alone.")] = 2048,
    densities: Annotated[
        Optional[str], typer.Option(help="Densities to try, as in 1,0.3,0.1; 1 is no pruning.")
    ] = None,
    n_bits: Annotated[Optional[str], typer.Option(help="Bit-widths to try, as in 3,4,5.")] = None,
    init: Annotated[str, typer.Option(help="linear, density, random, kmeans++ or optimal.")] = "linear",
    entropy: Annotated[float, typer.Option(help="Lambda of entropy-constrained clustering; 0 is without.")] = 0.0,
    profile: Annotated[str, typer.Option(help="As in dcz pack.")] = "auto",
    plot: Annotated[
        Optional[str], typer.Option(help="Draw each tensor's error at each bit-width and density (.png, .svg, .pdf).")
    ] = None,
    keep_nonfinite: Annotated[
        bool, typer.Option("--keep-nonfinite", help="Leave tensors with NaN or infinity alone.")
    ] = False,
    force: Force = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Choose density and bit-width of each tensor of SRC by measurement, and save the recipe for dcz pack --recipe.

    Example: dcz plan model.safetensors --target-ratio 20 -o recipe.toml
    """
    import numpy as np

    from dcz import planning
    from dcz.convert import open_model
    from dcz.lossy.recipe import check_suffix

    targets = {"target_ratio": target_ratio, "target_bytes": target_bytes, "max_rel_error": max_rel_error}
    if sum(value is not None for value in targets.values()) != 1:
        raise typer.BadParameter("give one of --target-ratio, --target-bytes and --max-rel-error")
    grid = {
        "densities": planning.DENSITIES if densities is None else _numbers(densities, "--densities", float),
        "n_bits": planning.N_BITS if n_bits is None else _numbers(n_bits, "--n-bits", int),
    }
    check_input(src)
    if output is not None:
        check_suffix(output)
    for path in (output, plot):
        if path is not None:
            check_output(path, force)
    if plot is not None:
        planning.check_plot(plot)
    with open_model(src) as model:
        tensors = {tensor.name: np.asarray(model.read(tensor.name)) for tensor in model.tensors()}
    recipe: dict[str, object] = {"init": init, "weight_threshold": weight_threshold}
    if entropy:
        recipe["entropy"] = entropy
    with progress("measuring", quiet or json, bytes_=False) as report:
        planned = planning.plan(
            tensors,
            recipe=recipe,
            names=names,
            profile=profile,
            keep_nonfinite=keep_nonfinite,
            progress=report,
            **targets,
            **grid,
        )
    if plot is not None:
        chosen = [tensor.name for tensor in planned.tensors if tensor.skipped is None]
        with progress("drawing", quiet or json, bytes_=False) as report:
            found = planning.sensitivity(tensors, names=chosen, recipe={"init": init}, profile=profile, progress=report)
        found.plot(plot)
    if output is not None:
        planned.save(output)
    if json:
        print_json(document(src, planned))
    elif not quiet:
        show(table(planned))
        print(
            f"{printable(src)}: {size(planned.dense)} of arrays to a file of {size(planned.file_bytes)} ({planned.file_bytes} bytes), "
            f"{planned.ratio:.2f} times smaller; largest relative error {planned.rel_error:.4f}"
        )
        if output is not None:
            print(f"{output}: written; dcz pack {printable(src)} model.dcz --recipe {output}")


def _numbers(text: str, option: str, kind: type) -> list:
    try:
        return [kind(part) for part in text.split(",")]
    except ValueError:
        raise typer.BadParameter(f"{option}: expected numbers with commas between them, found {text!r:.80}") from None


def document(path: str, planned: Planned) -> dict[str, object]:
    """The same as plain data."""
    from dataclasses import asdict

    return {
        "source": path,
        "recipe": planned.recipe,
        "file_bytes": planned.file_bytes,
        "dense_bytes": planned.dense,
        "ratio": planned.ratio,
        "max_rel_error": planned.rel_error,
        "tensors": [asdict(tensor) for tensor in planned.tensors],
    }


def table(planned: Planned) -> Table:
    """One line a tensor."""
    import sys

    from rich import box
    from rich.table import Table
    from rich.text import Text

    out = Table(box=box.SIMPLE_HEAD if sys.stdout.isatty() else None, pad_edge=False)
    out.add_column("tensor", overflow="fold")
    out.add_column("shape", overflow="fold")
    for title in ("density", "bits", "clusters", "stored", "x", "rel. error"):
        out.add_column(title, justify="right", no_wrap=True)
    out.add_column("left alone because", overflow="fold")
    for t in planned.tensors:
        cells = (
            printable(t.name),
            "x".join(map(str, t.shape)) or "scalar",
            "" if t.density is None else f"{100 * t.density:.1f}%",
            "" if t.n_bits is None else str(t.n_bits),
            "" if t.clusters is None else str(t.clusters),
            size(t.nbytes),
            f"{t.dense / t.nbytes:.1f}" if t.nbytes else "",
            f"{t.rel_error:.4f}",
            t.skipped or "",
        )
        out.add_row(*map(Text, cells))  # no markup: names may hold brackets
    return out
