"""`dcz plan SRC`: which density and bit-width for which tensor, as a table and a recipe."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Optional, TypeVar

import typer

from dcz.cli import columns, streams
from dcz.cli.calibrated import CalibrationOption, load, option
from dcz.cli.columns import Column, Table
from dcz.cli.common import (
    All,
    Columns,
    Force,
    Json,
    Misuse,
    Quiet,
    Wide,
    check_input,
    check_output,
    checking_options,
    checking_targets,
    exact,
    print_json,
    progress,
    size,
)  # fmt: skip
from dcz.cli.jobs import Scheduler, client
from dcz.cli.options import INITS, PROFILES, values
from dcz.text import ended, plural, printable

if TYPE_CHECKING:
    import numpy as np

    from dcz.planning import Planned, PlannedTensor


def plan(
    src: Annotated[str, typer.Argument(metavar="SRC", help="The file to plan for: any that dcz pack reads.")],
    output: Annotated[
        Optional[str], typer.Option("--output", "-o", help="Write the recipe to this .toml or .json file.")
    ] = None,
    target_ratio: Annotated[
        Optional[str], typer.Option(help="Dense bytes per byte of the file, at least; several as in 4,8,12.")
    ] = None,
    target_bytes: Annotated[Optional[str], typer.Option(help="Bytes of the file, at most; several as above.")] = None,
    max_rel_error: Annotated[
        Optional[float], typer.Option(help="Relative error of each tensor, at most; 0.1 is a tenth of its norm.")
    ] = None,
    calibration: CalibrationOption = None,
    names: Annotated[
        Optional[list[str]], typer.Option("--names", help="Only tensors whose names match; may be given again.")
    ] = None,
    weight_threshold: Annotated[int, typer.Option(min=0, help="Leave smaller tensors alone.")] = 256,
    steps: Annotated[
        Optional[str], typer.Option(help="Steps of a grid to try, as in 0.1,0.3, in units of a tensor's rms.")
    ] = None,
    densities: Annotated[
        Optional[str], typer.Option(help="Densities to try instead, as in 1,0.3,0.1; 1 means no pruning.")
    ] = None,
    n_bits: Annotated[Optional[str], typer.Option(help="Bit-widths of k-means to try instead, as in 3,4,5.")] = None,
    init: Annotated[
        Optional[str],
        typer.Option(help="Of k-means: linear, density, random, kmeans++ or optimal.", autocompletion=values(INITS)),
    ] = None,
    entropy: Annotated[float, typer.Option(help="Lambda of entropy-constrained clustering; 0 is without.")] = 0.0,
    profile: Annotated[str, typer.Option(help="As in dcz pack.", autocompletion=values(PROFILES))] = "auto",
    plot: Annotated[
        Optional[str], typer.Option(help="Draw each tensor's error at each bit-width and density (.png, .svg, .pdf).")
    ] = None,
    keep_nonfinite: Annotated[
        bool, typer.Option("--keep-nonfinite", help="Leave tensors with NaN or infinity alone.")
    ] = False,
    scheduler: Scheduler = None,
    everything: All = False,
    wide: Wide = False,
    only: Columns = None,
    force: Force = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Choose the step, or density and bit-width, of each tensor of SRC by measurement; save a recipe for dcz pack.

    Example: dcz plan model.safetensors --target-ratio 20 -o recipe.toml
    """
    from dcz import planning
    from dcz.errors import locating
    from dcz.lossy.recipe import check_suffix
    from dcz.tensor.choose import check_profile

    if sum(value is not None for value in (target_ratio, target_bytes, max_rel_error)) != 1:
        raise Misuse("give one of --target-ratio, --target-bytes and --max-rel-error")
    ratios = None if target_ratio is None else _numbers(target_ratio, "--target-ratio", float)
    sizes = None if target_bytes is None else _numbers(target_bytes, "--target-bytes", int)
    ratios, sizes = ratios and sorted(ratios), sizes and sorted(sizes, reverse=True)  # from large files to small
    recipe: dict[str, object] = {"weight_threshold": weight_threshold}
    recipe |= {key: value for key, value in (("init", init), ("entropy", entropy)) if value}
    spread = None if steps is None else _numbers(steps, "--steps", float)
    kept = None if densities is None else _numbers(densities, "--densities", float)
    bits = None if n_bits is None else _numbers(n_bits, "--n-bits", int)
    with checking_options():
        planning.check_target(ratios, sizes, max_rel_error)
        planning.check_base(recipe)
        planning.Tries.of(spread, kept, bits)
        check_profile(profile)
    with checking_targets():
        if output is not None:
            check_suffix(output)
        if plot is not None:
            planning.check_plot(plot)
    columns.check_names(_COLUMNS, only)
    check_input(src, models=True)
    moments = load(calibration)
    several = len(ratios or sizes or [0]) > 1
    outputs = [output] if not several or output is None else [_numbered(output, each) for each in ratios or sizes or []]
    for path in (*outputs, plot):
        if path is not None:
            check_output(path, force)
    tensors, aliases = _read(src) if scheduler is None or plot is not None else ({}, {})
    options: dict[str, Any] = {
        "target_ratio": ratios, "target_bytes": sizes, "max_rel_error": max_rel_error, "steps": spread,
        "densities": kept, "n_bits": bits, "recipe": recipe, "names": names, "profile": profile,
        "keep_nonfinite": keep_nonfinite,
    }  # fmt: skip
    with client(scheduler) as workers, locating(src), progress("measuring", quiet or json, bytes_=False) as report:
        if workers is None:
            of_file = None if moments is None else moments.renamed(aliases)
            plans = planning.plan(tensors, calibration=of_file, progress=report, **options)
        else:
            from dcz import jobs

            plans = jobs.plan(src, client=workers, calibration=moments, progress=report, **options)
    found = [plans] if isinstance(plans, planning.Planned) else list(plans)
    if plot is not None:
        chosen = [tensor.name for tensor in found[0].tensors if tensor.skipped is None]
        with locating(src), progress("drawing", quiet or json, bytes_=False) as report:
            curves = planning.sensitivity(
                tensors, names=chosen, recipe={"init": init or "linear"}, profile=profile, progress=report
            )
        curves.plot(plot)
    for planned, path in zip(found, outputs):
        if path is not None:
            planned.save(path)
    if json:
        print_json(document(src, found[0]) if not several else {"plans": [document(src, each) for each in found]})
    elif not quiet:
        for planned in found:
            if not several:
                columns.show(table(planned, columns.most_rows(everything)), wide, only)
            streams.say_printable(
                f"{src}: {size(planned.dense)} of arrays to a file of {exact(planned.file_bytes)}, "
                f"{planned.ratio:.2f} times smaller; "
                f"largest relative error {planned.rel_error:.4f}{_of_outputs(planned)}"
            )
        for remark in dict.fromkeys(remark for each in found for remark in (*each.warnings, *each.remarks)):
            streams.say_printable(f"note: {remark}")
        whose = "weights" if moments is None else "single layers"
        streams.say_printable(
            f"the error of {whose} says little about accuracy: measure it, or plan on it with evaluate= of dcz.plan"
        )
        for path in outputs:
            if path is not None:
                streams.say_printable(f"{path}: written; dcz pack {src} model.dcz --recipe {path}{option(calibration)}")


def _read(src: str) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """All tensors of a model, and its second names."""
    import numpy as np

    from dcz.convert import open_model
    from dcz.convert.folder import in_folder

    with open_model(in_folder(src)) as model:
        return {tensor.name: np.asarray(model.read(tensor.name)) for tensor in model.tensors()}, dict(model.aliases)


def _of_outputs(planned: Planned) -> str:
    return "" if planned.output_error is None else f", of a layer's outputs {planned.output_error:.4f}"


def _numbered(output: str, target: float) -> str:
    """The file of one of several targets: recipe-8.toml."""
    from pathlib import Path

    path = Path(output)
    number = str(target) if isinstance(target, int) else f"{target:g}"
    return str(path.with_name(f"{path.stem}-{number}{path.suffix}"))


_Number = TypeVar("_Number", int, float)


def _numbers(text: str, name: str, kind: Callable[[str], _Number]) -> list[_Number]:
    try:
        return [kind(part) for part in text.split(",")]
    except ValueError:
        raise Misuse(f"{name}: expected numbers with commas between them, found {text!r:.80}") from None


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
        **({} if planned.output_error is None else {"max_output_error": planned.output_error}),
        "notes": [*planned.warnings, *planned.remarks],
        "tensors": [asdict(tensor) for tensor in planned.tensors],
    }


_COLUMNS = (
    columns.name_column(),
    Column("shape", 5, right=False),
    Column("density", 1, "weights that are kept"),
    Column("rounded to", 2, "2^bits clusters, or steps in units of the tensor's rms"),
    Column("clusters", 6),
    Column("stored"),
    Column("smaller", 4, "dense bytes to stored bytes"),
    Column("rel. error", 3, "|new - old| / |old|"),
    Column("left alone because", 7, least=18, shorten=ended, right=False),
)


def _rounding(t: PlannedTensor) -> str:
    """What a tensor's weights become."""
    if t.step is not None:
        return f"step {t.step:.2g}"
    return "" if t.n_bits is None else f"{t.n_bits} bits"


def table(planned: Planned, most: int | None = None) -> Table:
    """One line a tensor: all, or the `most` largest and a line for the rest."""
    tensors, footer = list(planned.tensors), ""
    if most is not None and len(tensors) > most:
        tensors.sort(key=lambda t: (-t.nbytes, t.name))
        rest = tensors[most:]
        footer = f"and {plural(len(rest), 'smaller tensor')}, {size(sum(t.nbytes for t in rest))}; --all lists them"
        tensors = tensors[:most]
    out = Table(_COLUMNS, footer=footer)
    for t in tensors:
        out.add(
            printable(t.name),
            "x".join(map(str, t.shape)) or "scalar",
            "" if t.density is None else f"{100 * t.density:.1f}%",
            _rounding(t),
            "" if t.clusters is None else str(t.clusters),
            size(t.nbytes),
            f"{t.dense / t.nbytes:.1f} x" if t.nbytes else "",
            f"{t.rel_error:.4f}",
            t.skipped or "",
        )
    return out
