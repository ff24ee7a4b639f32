"""Rounded weights: bits per weight and error of `dcz` beside integer blocks, palettes and uniform steps.

    pip install '.[coreml]' gguf z4ai && python -m benchmarks.studies.alternatives

Weights of one dense layer are made here, independent of each other: Laplacian, as trained layers nearly are, and
Gaussian. Error is the norm of the rounding by that of the weights. It says nothing of accuracy, which depends on the
network; it says what a size costs in precision. The last table is lossless: bfloat16 in dcz and z4ai.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import ml_dtypes
import numpy as np

import dcz

SIDE = 1024
KINDS = ("Laplacian", "Gaussian")


def weights(kind: str) -> np.ndarray:
    """One layer's weights of deviation 0.02."""
    rng = np.random.default_rng(7)
    drawn = rng.laplace(scale=0.5**0.5, size=(SIDE, SIDE)) if kind == "Laplacian" else rng.normal(size=(SIDE, SIDE))
    return (0.02 * drawn).astype("float32")


def measured(stored: int, rounded: np.ndarray, exact: np.ndarray) -> tuple[float, float]:
    """Bits per weight, and the relative error."""
    difference = np.linalg.norm((rounded - exact).astype("float64"))
    return 8 * stored / exact.size, float(difference / np.linalg.norm(exact.astype("float64")))


def in_dcz(exact: np.ndarray, **how: object) -> tuple[float, float]:
    """Clustered and saved, the whole file."""
    made = dcz.cluster({"w": exact}, **how).tensors  # type: ignore[arg-type]
    return measured(len(dcz.save(made)), made["w"], exact)


def in_gguf(exact: np.ndarray, kind: str) -> tuple[float, float]:
    """Integer blocks of 32 weights with a float16 scale, as llama.cpp reads them."""
    from gguf import GGMLQuantizationType, quants

    wanted = GGMLQuantizationType[kind]
    blocks = quants.quantize(exact, wanted)
    return measured(blocks.nbytes, quants.dequantize(blocks, wanted).reshape(exact.shape), exact)


def in_coreml(exact: np.ndarray, n_bits: int) -> tuple[float, float]:
    """A k-means palette for the tensor in a Core ML package, whose weight file is counted."""
    import coremltools
    from coremltools.converters.mil import Builder
    from coremltools.optimize import coreml

    @Builder.program(input_specs=[Builder.TensorSpec(shape=(1, SIDE))], opset_version=coremltools.target.iOS16)
    def program(x: object) -> object:
        return Builder.linear(x=x, weight=exact)

    model = coremltools.convert(program, compute_precision=coremltools.precision.FLOAT32, convert_to="mlprogram")
    config = coreml.OptimizationConfig(coreml.OpPalettizerConfig(mode="kmeans", nbits=n_bits, weight_threshold=0))
    small = coreml.palettize_weights(model, config)
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / "m.mlpackage"
        small.save(str(package))
        packed = Path(folder) / "m.dcz"
        from dcz.cli import main  # reads the palette

        sys.argv = ["dcz", "pack", str(package), str(packed), "--quiet"]
        try:
            main()
        except SystemExit as done:
            if done.code:
                raise
        rounded = next(each for each in dcz.load_file(packed).values() if each.shape == exact.shape)
        stored = next(package.rglob("weight.bin")).stat().st_size
    return measured(stored, rounded, exact)


def rows(exact: np.ndarray) -> list[tuple[str, tuple[float, float]]]:
    """All that is compared on one layer."""
    return [
        *((f"dcz, grid of {step} rms", in_dcz(exact, method="grid", step=step)) for step in (0.05, 0.1, 0.2, 0.4)),
        *((f"dcz, {bits} bits", in_dcz(exact, n_bits=bits)) for bits in (6, 4)),
        *((f"GGUF {kind}", in_gguf(exact, kind)) for kind in ("Q8_0", "Q5_0", "Q4_0")),
        *((f"Core ML palette, {bits} bits", in_coreml(exact, bits)) for bits in (6, 4)),
    ]


def lossless() -> list[str]:
    """bfloat16, bytes of dcz and z4ai."""
    import z4ai

    out = ["| bfloat16 weights | dense, bytes | dcz | z4ai | z4ai, effort max |", "|---|--:|--:|--:|--:|"]
    for kind in KINDS:
        exact = weights(kind).astype(ml_dtypes.bfloat16)
        ours = len(dcz.save({"w": exact}))
        theirs = [len(z4ai.compress(exact.tobytes(), dtype="bf16", effort=effort)) for effort in (None, "max")]
        out.append(f"| {kind} | {exact.nbytes:,} | {ours:,} | {theirs[0]:,} | {theirs[1]:,} |")
    return out


def main(path: Path) -> None:
    """Measures, prints and writes the tables."""
    out = ["# Rounded weights in other formats", "", " ".join((__doc__ or "").split("\n\n")[2].split()), ""]
    out.append(f"{SIDE} x {SIDE} weights, float32. Made by `python -m benchmarks.studies.alternatives`.")
    for kind in KINDS:
        out += ["", f"## {kind}", "", "| | bits per weight | relative error |", "|---|--:|--:|"]
        out += [f"| {title} | {bits:.2f} | {100 * error:.2f} % |" for title, (bits, error) in rows(weights(kind))]
    out += ["", "## Without rounding", "", *lossless(), ""]
    path.write_text("\n".join(out))
    print("\n".join(out))


if __name__ == "__main__":
    main(Path(__file__).parents[1] / "results" / "alternatives.md")
