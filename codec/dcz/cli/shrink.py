"""`dcz shrink MODEL OUT --data SAMPLES --keep 0.99`: the smallest file that keeps a model's outputs."""

from __future__ import annotations

import io
import os
import warnings
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from dcz.cli import columns, streams
from dcz.cli.calibrated import option
from dcz.cli.columns import Column, Table
from dcz.cli.common import (
    Force,
    Json,
    Misuse,
    Quiet,
    check_ending,
    check_input,
    check_output,
    checking_options,
    checking_targets,
    exact,
    print_json,
    progress,
    size,
)
from dcz.cli.options import METRICS, values
from dcz.errors import DczError
from dcz.extras import require

if TYPE_CHECKING:
    from dcz.planning.shrinking import Shrunk


def shrink(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="The .onnx file.")],
    out: Annotated[
        str, typer.Argument(metavar="OUT", help="The .dcz file of weights to write, or .onnx for the graph beside it.")
    ],
    data: Annotated[
        str, typer.Option("--data", help="An .npz file: for each input an array whose first dimension counts samples.")
    ],
    keep: Annotated[float, typer.Option(help="What is to be kept of --metric; 1 is all of it.")] = 0.99,
    metric: Annotated[
        str, typer.Option(help="cosine, correlation, or top1: the largest stays.", autocompletion=values(METRICS))
    ] = "cosine",
    held_out: Annotated[
        float, typer.Option(help="Fraction of the samples to verify on; as many are searched on.")
    ] = 0.25,
    names: Annotated[
        Optional[list[str]], typer.Option("--names", help="Only tensors whose names match; may be given again.")
    ] = None,
    recipe: Annotated[Optional[str], typer.Option(help="Write the steps to this .toml or .json file.")] = None,
    save_calibration: Annotated[
        Optional[str],
        typer.Option(help="Write the moments of layers' inputs to this .dcz file, for dcz pack --calibration."),
    ] = None,
    plot: Annotated[Optional[str], typer.Option(help="Draw the curve to this file (.svg, .png, .pdf).")] = None,
    force: Force = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Make MODEL as small as its outputs on samples allow, and verify that on samples held out.

    Example: dcz shrink model.onnx small.dcz --data samples.npz --keep 0.99
    """
    from dcz.errors import locating
    from dcz.lossy.recipe import Recipe, check_suffix
    from dcz.lossy.selection import check_number
    from dcz.planning import check_plot
    from dcz.planning.outputs import check_metric

    with checking_options():
        check_metric(metric)
        check_number(keep, "--keep", 0, 1, open_left=True)
        check_number(held_out, "--held-out", 0, 1 / 3, open_left=True)
    with checking_targets():
        if recipe is not None:
            check_suffix(recipe)
        if plot is not None:
            check_plot(plot)
    check_ending(out, (".dcz", ".onnx"), "a shrunk model")
    if save_calibration is not None:
        check_ending(save_calibration, (".dcz",), "a calibration")
    if not model.lower().endswith(".onnx"):
        raise Misuse(f"{model}: is not an .onnx file; for PyTorch there is dcz.torch.shrink")
    for path in (model, data):
        check_input(path)
    for output in (out, recipe, save_calibration, plot):
        if output is not None:
            check_output(output, force)
    require("onnx", "onnxruntime", "dcz shrink")
    require("onnxruntime", "onnxruntime", "dcz shrink")
    from dcz.onnx import shrink as shrunk
    from dcz.onnx.models import read_model
    from dcz.onnx.samples import load_samples

    samples = load_samples(data, read_model(model))
    with locating(model), progress("shrinking", quiet or json, bytes_=False) as report, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="no sample reached")  # the remarks say so
        found = shrunk(model, samples, out, keep=keep, metric=metric, held_out=held_out, names=names, progress=report)
    if recipe is not None:
        Recipe.parse(found.recipe).save(recipe)
    if save_calibration is not None:
        saved(found, save_calibration)
    if plot is not None:
        draw(found, metric, plot)
    if json:
        print_json(document(model, metric, found))
    elif not quiet:
        columns.show(table(found, metric))
        for line in (*summary(found, metric, len(samples), held_out), *written(out, found)):
            streams.say_printable(line)
        if recipe is not None:
            again = f"{recipe}: written; dcz pack {model} model.dcz --recipe {recipe}"
            needs = found.calibration is not None and save_calibration is None
            wanted = "; it asks for the moments, which --save-calibration writes" if needs else ""
            streams.say_printable(f"{again}{option(save_calibration)}{wanted}")


def saved(found: Shrunk, path: str) -> None:
    """Write the moments that the model was rounded by."""
    from dcz.calibrations import save_calibration

    if found.calibration is None:
        raise DczError(f"{path}: no layer has moments to write: samples reach none that has weights")
    save_calibration(found.calibration, path)


def summary(found: Shrunk, metric: str, count: int, held_out: float) -> list[str]:
    """What was tried, what was chosen, and why."""
    from dcz.planning.outputs import split

    return [
        f"chosen: the smallest file that keeps {found.keep:.7g} of {metric}; on the samples held out it keeps "
        f"{found.kept:.4f}",
        f"of {count} samples: {split(count, held_out)}",
        *(f"note: {remark}" for remark in found.remarks),
    ]


def written(out: str, found: Shrunk) -> list[str]:
    """The files that were written, and their bytes."""
    is_graph = out.lower().endswith(".onnx")
    weights = os.path.splitext(out)[0] + ".dcz" if is_graph else out
    nbytes = os.path.getsize(weights)
    ratio = found.dense / nbytes
    lines = [f"{weights}: {size(found.dense)} of weights in {exact(nbytes)}, {ratio:.2f} times smaller"]
    return [*lines, f"{out}: its graph, {size(os.path.getsize(out))}"] if is_graph else lines


_COLUMNS = (
    Column("file", right=True),
    Column("smaller", help="bytes of the weights to bytes of the file"),
    Column("step", 1, "mean step of the grid, in units of a tensor's rms"),
    Column("kept", help="on the samples searched on"),
    Column("", right=False),
)


def table(found: Shrunk, metric: str) -> Table:
    """All files that were tried, one line each."""
    out = Table(_COLUMNS, title=f"{metric} against size")
    for tried in found.curve:
        mark = "chosen" if tried == found.chosen else "too little" if tried.score < found.keep else ""
        ratio = f"{found.dense / tried.nbytes:.1f} x"
        out.add(size(tried.nbytes), ratio, f"{tried.step:.3f}", f"{tried.score:.4f}", mark)
    return out


def document(path: str, metric: str, found: Shrunk) -> dict[str, object]:
    """The same as plain data."""
    from dataclasses import asdict

    return {
        "source": path,
        "metric": metric,
        "keep": found.keep,
        "kept": found.kept,
        "file_bytes": found.chosen.nbytes,
        "dense_bytes": found.dense,
        "ratio": found.ratio,
        "curve": [asdict(tried) for tried in found.curve],
        "remarks": list(found.remarks),
        "recipe": found.recipe,
    }


def draw(found: Shrunk, metric: str, path: str) -> None:
    """The curve as a figure."""
    from matplotlib.figure import Figure

    from dcz.io.sinks import write_whole

    figure = Figure(figsize=(6.4, 4), layout="constrained")
    axes = figure.subplots()
    ratios = [found.dense / tried.nbytes for tried in found.curve]
    axes.plot(ratios, [tried.score for tried in found.curve], marker="o", markersize=3, linewidth=1.2)
    axes.plot([found.ratio], [found.kept], marker="D", color="C3", linestyle="", label="chosen, on samples held out")
    axes.axhline(found.keep, color="0.6", linewidth=0.8, linestyle="--")
    axes.set_xlabel("times smaller")
    axes.set_ylabel(metric)
    axes.grid(alpha=0.3)
    axes.legend()
    out = io.BytesIO()
    figure.savefig(out, dpi=120, format=os.path.splitext(path)[1][1:].lower())
    write_whole(path, out.getvalue())
