"""`dcz pack SRC DST`: any readable file, or a model's folder, to dcz."""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from dcz.cli import calibrated, delta, folders, pairs, streams
from dcz.cli.common import (
    Force,
    Json,
    MaxBytes,
    MaxMemory,
    Misuse,
    Quiet,
    ShardSize,
    Strict,
    Threads,
    allowance,
    check_input,
    check_output,
    checking_options,
    checking_targets,
    exact,
    file_bytes,
    memory,
    print_json,
    print_left_out,
    progress,
    size,
)  # fmt: skip
from dcz.cli.delta import BaseOption, TransformOption
from dcz.cli.jobs import Resume, Scheduler, client, misplaced, resumable
from dcz.cli.options import PROFILES, values
from dcz.io.sources import is_url
from dcz.text import compared, plural, printable

if TYPE_CHECKING:
    from dcz.convert.transfers import Transfer
    from dcz.io.sinks import PathSink
    from dcz.jobs import Done
    from dcz.lossy import TensorReport
    from dcz.lossy.moments import Calibration
    from dcz.lossy.recipe import Recipe


def pack(
    src: Annotated[
        str,
        typer.Argument(
            metavar="SRC", help="The file to pack (README lists the formats), or a model's folder of the hub's layout."
        ),
    ],
    dst: Annotated[
        str,
        typer.Argument(
            metavar="DST",
            help="The .dcz file to write; .dcz.index.json for several; a folder where SRC is one; .onnx where SRC is, "
            "for the graph alone, with the weights in the .dcz file beside it.",
        ),
    ],
    profile: Annotated[
        str,
        typer.Option(
            help="auto takes the smallest layout; csr, bitmap, dense, paper and raw restrict it.",
            autocompletion=values(PROFILES),
        ),
    ] = "auto",
    portable: Annotated[
        bool, typer.Option("--portable", help="No zstd anywhere in the file, for readers that lack it.")
    ] = False,
    shapes: Annotated[
        Optional[Path], typer.Option(help="For .net files and DFloat11: a deploy prototxt, or JSON of name to shape.")
    ] = None,
    base: BaseOption = None,
    transform: TransformOption = "auto",
    recipe: Annotated[
        Optional[str],
        typer.Option(help="Prune and cluster by this .toml or .json recipe; without, nothing is rounded."),
    ] = None,
    calibration: Annotated[
        Optional[str],
        typer.Option(help="With --recipe: moments of layers' inputs (dcz.save_calibration), for error feedback."),
    ] = None,
    keep_nonfinite: Annotated[
        bool, typer.Option("--keep-nonfinite", help="With --recipe: leave tensors with NaN or infinity alone.")
    ] = False,
    shard_size: ShardSize = None,
    max_bytes: MaxBytes = None,
    max_memory: MaxMemory = None,
    threads: Threads = None,
    resume: Resume = False,
    scheduler: Scheduler = None,
    force: Force = False,
    strict: Strict = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Pack the weights of SRC into DST, bit for bit and as small as their values allow; with --recipe first prune and
    cluster them.

    Example: dcz pack model.safetensors model.dcz
    """
    from dcz.convert import SHAPED, check_target, extension_of, parse_size
    from dcz.delta.transforms import check_choice
    from dcz.errors import locating
    from dcz.lossy.recipe import Recipe, check_suffix
    from dcz.tensor.choose import check_profile

    with checking_options():
        check_profile(profile)
        check_choice(transform)
        limit = None if shard_size is None else parse_size(shard_size)
    if recipe is not None:
        with checking_targets():
            check_suffix(recipe)
    if keep_nonfinite and recipe is None:
        raise Misuse("--keep-nonfinite: goes with --recipe; without one nothing is rounded")
    if calibration is not None and recipe is None:
        raise Misuse("--calibration: goes with --recipe; without one nothing is rounded")
    if calibration is not None and (resume or scheduler is not None or _is_remote_index(dst)):
        raise Misuse(
            "--calibration: does not go with --resume, --scheduler, or an index at a URL, whose tasks see one tensor "
            "each, while biases change with their layers; pack to a local file without them"
        )
    if transform != "auto" and base is None:
        raise Misuse("--transform: goes with --base")
    if portable and base is not None:
        raise Misuse("--portable: does not go with --base")
    if shapes is not None and not src.lower().endswith(SHAPED):
        raise Misuse(f"--shapes: is for .net files and DFloat11; {src} has its own")
    to_file = extension_of(dst, (".dcz", ".dcz.index.json")) is not None
    if to_file:
        with checking_targets():
            check_target(dst, limit)
    allowed, bound = allowance(max_bytes), memory(max_memory)
    treatment = None if recipe is None else Recipe.load(recipe)
    if treatment is not None:
        with locating(str(recipe)):
            treatment.check_calibration(calibration is not None)
    if folders.is_folder(src):
        if not to_file:
            if recipe is not None:
                raise Misuse(f"--recipe: goes with a .dcz or .dcz.index.json file as DST, found {dst}")
            if portable:
                raise Misuse(f"--portable: goes with a .dcz or .dcz.index.json file as DST, found {dst}")
            if resume or scheduler is not None:
                raise Misuse(
                    f"{misplaced(resume, scheduler)} with a .dcz or .dcz.index.json file as DST, found {dst}; name "
                    f"{os.path.join(dst, 'model.dcz.index.json')}"
                )
            folders.convert(
                src, dst, ".dcz", profile, threads, limit, allowed, force, strict, quiet, json, max_memory=bound
            )
            return
        source = folders.weights(src)
    else:
        check_input(src)
        source = src
    graph: AbstractContextManager[PathSink | None] = contextlib.nullcontext()
    model_file = None
    if pairs.is_model(dst):
        options = {
            "--base": base, "--shapes": shapes, "--shard-size": shard_size, "--resume": resume or None,
            "--scheduler": scheduler,
        }  # fmt: skip
        model_file, dst = dst, pairs.weights_beside(src, dst, force, options)
        graph = pairs.graph_of(src, model_file, dst)
    elif not to_file:
        raise Misuse(f"{dst}: the name of a packed file ends in .dcz; to write other files: dcz unpack SRC DST")
    if not resume:
        check_output(dst, force)
    moments = calibrated.load(calibration)
    kept = ""
    moved: Transfer | Done
    reports: Mapping[str, TensorReport]
    if resume or scheduler is not None or _is_remote_index(dst):
        from dcz import jobs

        if base is not None:
            delta.check_base(base, None)
        with resumable(dst), client(scheduler) as workers, progress("packing", quiet or json) as report:
            moved = jobs.pack(
                source, dst, client=workers, resume=resume, replace=force, profile=profile, portable=portable,
                recipe=None if treatment is None else treatment.to_dict(), keep_nonfinite=keep_nonfinite, base=base,
                base_hints=None if base is None else delta.hints(base), transform=transform, shard_size=limit,
                shapes=shapes, max_bytes=allowed, max_memory=bound, threads=threads, strict=strict, progress=report,
            )  # fmt: skip
        reports = moved.reports
        if moved.kept:
            kept = f"; {moved.kept} of {plural(len(moved.files), 'file was', 'files were')} made before"
    else:
        moved, reports = _in_one_run(
            graph, source, dst, treatment, moments, keep_nonfinite, shapes, allowed, bound, strict, quiet or json, base,
            transform=transform, profile=profile, threads=threads, shard_size=limit, replace=force, source=source,
            portable=portable,
        )  # fmt: skip
    print_left_out(moved.left_out)
    before, after = file_bytes(source), file_bytes(dst)
    if json:
        print_json({
            "source": source, "file": dst, "tensors": moved.tensors, "aliases": moved.aliases,
            "dense_bytes": moved.nbytes, "source_bytes": before, "file_bytes": after,
            "ratio": moved.nbytes / after,
            **({} if model_file is None else {"graph": model_file}),
            **({"left_out": dict(moved.left_out)} if moved.left_out else {}),
            **({"reports": {name: asdict(each) for name, each in reports.items()}} if recipe is not None else {}),
        })  # fmt: skip
    elif not quiet:
        streams.say_printable(
            f"{dst}: {plural(moved.tensors, 'tensor')}, {exact(after)}, {compared(after, moved.nbytes)} their "
            f"{size(moved.nbytes)}; {os.path.basename(source)} has {size(before)}{kept}"
        )
        if model_file is not None:
            streams.say_printable(f"{model_file}: its graph, {size(file_bytes(model_file))}")
        if base is None and not is_url(dst):
            explain_size(dst, src, moved.nbytes, after)
        if recipe is not None:
            streams.say_printable(recipe_summary(reports))


def _is_remote_index(dst: str) -> bool:
    """True of an index at a URL, whose files are written by a job."""
    return is_url(dst) and dst.lower().endswith(".index.json")


def _in_one_run(
    graph: AbstractContextManager[PathSink | None],
    model: str,
    dst: str,
    treatment: Recipe | None,
    moments: Calibration | None,
    keep_nonfinite: bool,
    shapes: Path | None,
    max_bytes: int | None,
    max_memory: int | None,
    strict: bool,
    silent: bool,
    base: str | None,
    **options: Any,
) -> tuple[Transfer, Mapping[str, TensorReport]]:
    """Packs in this process, to files that appear together at its end."""
    from dcz.convert import open_model, transfer
    from dcz.convert.compressed import CompressedModel
    from dcz.convert.model import check_not_empty

    with (
        graph as thin,
        delta.target(dst, base, **options) as target,
        open_model(model, shapes=shapes, max_bytes=max_bytes) as opened,
        progress("packing", silent) as report,
    ):
        check_not_empty(opened, model)
        if treatment is None:
            moved, reports = (
                transfer(opened, target, path=dst, progress=report, strict=strict, max_memory=max_memory),
                {},
            )
        else:
            treated = CompressedModel(opened, treatment, keep_nonfinite=keep_nonfinite, calibration=moments)
            moved = transfer(treated, target, path=dst, progress=report, strict=strict, max_memory=max_memory)
            reports = treated.reports
        if thin is not None:
            thin.publish()
        return moved, reports


def explain_size(dst: str, src: str, dense: int, file: int) -> None:
    """Says why a file is not smaller, read off its index, and what to do."""
    from dcz.container.opening import open_file
    from dcz.container.summary import stored_file
    from dcz.report import advice

    with open_file(dst) as reader:
        found = stored_file(reader)
    grown = advice.grown(file, dense, found.stored)
    for line in [grown] if grown else advice.advice(advice.of_file(found), shlex.quote(src)):
        streams.say_printable(line)


def recipe_summary(reports: Mapping[str, TensorReport]) -> str:
    """A summary of what a recipe changed, in a few lines."""
    changed = {name: each for name, each in reports.items() if each.skipped is None}
    reasons: dict[str, list[str]] = {}
    for name, each in reports.items():
        if each.skipped is not None:
            reasons.setdefault(each.skipped, []).append(printable(name))
    worst = max(changed.items(), key=lambda item: item[1].rel_error, default=None)
    lines = [f"{plural(len(changed), 'tensor')} pruned or clustered"]
    if worst is not None:
        lines[0] += f"; largest relative error {worst[1].rel_error:.4f} ({printable(worst[0])})"
    outputs = {name: each.output_error for name, each in changed.items() if each.output_error is not None}
    if outputs:
        name = max(outputs, key=outputs.__getitem__)
        lines.append(
            f"{plural(len(outputs), 'tensor')} rounded with error feedback; largest relative error of outputs "
            f"{outputs[name]:.4f} ({printable(name)})"
        )
    zeroed = {printable(name): each.zeroed for name, each in changed.items() if each.zeroed}
    if zeroed:
        lines.append(
            f"a codebook value that is zero stands for {plural(sum(zeroed.values()), 'weight')}: {_some(zeroed)}"
        )
    lines += [f"left alone: {_some(names)} ({reason})" for reason, names in reasons.items()]
    return "\n".join(lines)


def _some(names: Iterable[str]) -> str:
    """The first few names."""
    first = list(islice(names, 6))
    return ", ".join(first[:5]) + (", ..." if len(first) > 5 else "")
