"""Tensors by a recipe: each is pruned, clustered, both, or left alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from dcz.lossy.clustering import check_importance, cluster_array
from dcz.lossy.config import PruneConfig
from dcz.lossy.distortion import fidelity
from dcz.lossy.flat import FLOATS, Stored, finite, pieces
from dcz.lossy.inputs import Inputs, tied_names
from dcz.lossy.magnitudes import Threshold
from dcz.lossy.moments import Calibration
from dcz.lossy.pruning import global_threshold, mask, mask_by, masked
from dcz.lossy.recipe import Recipe, Settings
from dcz.lossy.selection import check_finite, check_tensors, skip_reason
from dcz.lossy.stored import treat, treatable
from dcz.markup import table
from dcz.text import printable
from dcz.ties import Ties


@dataclass(frozen=True, slots=True)
class TensorReport:
    """The outcome for one tensor.

    `density` is the fraction of its weights that is not zero; `clusters` the entries of its codebook, None where it
    has none; `bits` what a cluster index takes by Huffman's code; `rel_error` the root of the sum of squared errors
    over that of the squared weights; `skipped` says why it was left alone, else None; `output_error`, where the
    layer's inputs are known, the root of the mean squared change of its outputs over that of the squared outputs."""

    density: float | None
    clusters: int | None
    bits: float | None
    rel_error: float
    skipped: str | None
    zeroed: int = 0
    output_error: float | None = None


class Compressed(dict[str, np.ndarray]):
    """Names to arrays, as `save_file` takes them; `reports` says what became of each."""

    reports: dict[str, TensorReport]

    def _repr_html_(self) -> str:
        head = ("tensor", "shape", "density", "clusters", "bits", "rel. error", "left alone")
        rows = [
            (
                printable(name, 200),
                "x".join(map(str, self[name].shape)) or "scalar",
                "" if each.density is None else f"{100 * each.density:.1f}%",
                "" if each.clusters is None else each.clusters,
                "" if each.bits is None else f"{each.bits:.2f}",
                f"{each.rel_error:.4f}",
                each.skipped or "",
            )
            for name, each in self.reports.items()
        ]
        return f"<div>{table('Pruned and clustered tensors', head, rows)}</div>"


def compress(
    tensors: Mapping[str, np.ndarray],
    recipe: Mapping[str, object] | str,
    *,
    importance: Mapping[str, np.ndarray] | None = None,
    calibration: Calibration | None = None,
    keep_nonfinite: bool = False,
) -> Compressed:
    """Prunes and clusters tensors by a recipe; the result is plain arrays. The arrays given stay as they are, and
    those that nothing is done to are passed on. Names of one array stay so if the recipe treats them alike.

    Args:
        tensors: names to numpy arrays.
        recipe: a mapping, or the path of a TOML or JSON file with one. Keys are the arguments of `dcz.prune` and
            `dcz.cluster` (`density`, `n_bits`, `step`, `init`, `entropy`, ...) and `weight_threshold`. At the
            top they apply to all eligible tensors; `"tensors": {PATTERN: {...}}` overrides them by name, where
            `false` takes a key away and `"leave": true` leaves a tensor alone. A tensor whose very name is given
            is eligible though it is small or a bias.
        importance: how much each weight counts in clustering; see `dcz.cluster`.
        calibration: second moments of layers' inputs (`dcz.torch.calibrate`, `dcz.onnx.calibrate`). Their tensors are
            pruned and rounded column by column with error feedback (Frantar et al. 2022, arXiv 2210.17323, section
            3.3; Frantar and Alistarh 2023, arXiv 2301.00774, section 3), with an entropy coder in mind; a `density`
            keeps what matters at the outputs, in each 128 inputs. The change of the mean output goes into
            the bias, which is then rounded if the recipe says so. A recipe with `"calibration": true` was made for one,
            and is refused without.
        keep_nonfinite: leaves tensors with NaN or infinity alone instead of refusing them.

    Raises:
        DczError: unknown keys, values out of range, an empty recipe, patterns that match nothing, NaN or infinity.

    >>> import numpy, dcz
    >>> w = numpy.random.default_rng(0).standard_normal((128, 128)).astype("float32")
    >>> recipe = {"density": 0.09, "n_bits": 5, "tensors": {"head*": {"density": 0.25}}}
    >>> small = dcz.compress({"body": w, "head": w.copy(), "bias": w[0]}, recipe)
    >>> [f"{report.density:.2f}" for report in small.reports.values()], small.reports["bias"].skipped
    (['0.09', '0.25', '1.00'], 'a bias or norm, of fewer than two dimensions, not named')
    >>> len(dcz.save(small)) < w.nbytes / 8
    True
    """
    check_tensors(tensors)
    runner = RecipeRunner(
        recipe, tensors, lambda name: tensors[name], keep_nonfinite, calibrated=calibration is not None
    )
    importance = check_importance(importance, tensors)
    found = Inputs(
        calibration, tensors, tied_names(tensors), lambda name: runner.takes_shift(name, np.asarray(tensors[name]))
    )
    out, ties, weight_ties = Compressed(tensors), Ties(), Ties()
    reports: dict[str, TensorReport] = {}
    for name in found.order(tensors):
        array = tensors[name]
        weights = importance.get(name)
        weighting = None if weights is None else weight_ties.owner(name, weights)
        owner = ties.owner(name, array, runner.settings(name), weighting)
        if owner == name:
            out[name], reports[name] = runner.apply(name, found.shifted(name, np.asarray(array)), weights, found)
        else:
            out[name], reports[name] = out[owner], reports[owner]
    out.reports = {name: reports[name] for name in out}
    return out


class RecipeRunner:
    """Applies a recipe to tensors that are read one at a time. `read(name)` returns a tensor; where all of them count
    (`scope: global`) it is called several times. `some` says that the names are not all of the model: a pattern may
    match none of them; `calibrated` that tensors come with their inputs, which a recipe may ask for."""

    def __init__(
        self,
        recipe: object,
        names: Iterable[str],
        read: Callable[[str], np.ndarray],
        keep_nonfinite: bool = False,
        *,
        some: bool = False,
        calibrated: bool = False,
    ) -> None:
        self._names = list(names)
        parsed = Recipe.parse(recipe)
        parsed.check_calibration(calibrated)
        if not some:
            parsed.check(self._names)
        self._settings = {name: parsed.settings(name) for name in self._names}
        self._read = read
        self._keep_nonfinite = keep_nonfinite
        self._thresholds: dict[PruneConfig, Threshold] = {}

    def settings(self, name: str) -> Settings:
        """The recipe's settings for a tensor."""
        return self._settings[name]

    def takes_shift(self, name: str, array: np.ndarray) -> bool:
        """True if something may be added to a tensor before its treatment: to floats that are not pruned."""
        return array.dtype.name in FLOATS and finite(array) and self._settings[name].pruning is None

    def apply(
        self, name: str, array: np.ndarray, importance: np.ndarray | None = None, inputs: Inputs | None = None
    ) -> tuple[np.ndarray, TensorReport]:
        """The tensor after its treatment, and what that was."""
        settings = self._settings[name]
        reason = self._skip_reason(name, array, settings)
        if reason is not None:
            density = float(np.count_nonzero(array)) / array.size if array.size else None
            return array, TensorReport(density, None, None, 0.0, reason)
        out, clusters, bits, zeroed, output_error = array, None, None, 0, None
        kept = None if settings.pruning is None else self._mask(name, array, settings.pruning)
        if kept is not None:
            out = masked(out, kept)
        if inputs is not None and name in inputs:
            done = inputs.apply(name, array, settings, kept)
            zeroed = max(int(np.count_nonzero(out)) - int(np.count_nonzero(done.array)), 0)
            out, clusters, bits, output_error = done.array, done.clusters, done.bits, done.output_error
        elif settings.clustering is not None:
            found = cluster_array(out, settings.clustering, importance=importance, name=name)
            out, clusters, bits, zeroed = found.array(), found.k, found.bits, found.zeroed
        error = fidelity(array, out).relative
        return out, TensorReport(
            float(np.count_nonzero(out)) / out.size, clusters, bits, error, None, zeroed, output_error
        )

    def apply_stored(self, name: str, stored: Stored, shape: tuple[int, ...]) -> tuple[Stored, TensorReport] | None:
        """The same for a tensor larger than memory; None for a treatment that needs all weights at once."""
        settings = self._settings[name]
        if settings.pruning is None and settings.clustering is None:
            settings = replace(settings, leave=True)
        leaves = settings.leave or self._unsuited(shape, stored.dtype, settings) is not None
        if not leaves and not treatable(stored.dtype, settings):
            return None
        reason = self._reason(name, stored, shape, settings)
        if reason is not None:
            nonzeros = sum(int(np.count_nonzero(values)) for _, values in pieces(stored))
            return stored, TensorReport(nonzeros / stored.size, None, None, 0.0, reason)
        done = treat(stored, settings, name)
        return done.weights, TensorReport(done.density, done.clusters, done.bits, done.rel_error, None, done.zeroed)

    def _skip_reason(self, name: str, array: np.ndarray, settings: Settings) -> str | None:
        return self._reason(name, array, array.shape, settings)

    def _reason(self, name: str, array: np.ndarray | Stored, shape: tuple[int, ...], settings: Settings) -> str | None:
        reason = self._unsuited(shape, array.dtype, settings)
        if reason is None and (settings.leave or (settings.pruning is None and settings.clustering is None)):
            reason = "the recipe leaves it alone"
        return reason or check_finite(name, array, self._keep_nonfinite)

    @staticmethod
    def _unsuited(shape: tuple[int, ...], dtype: np.dtype, settings: Settings) -> str | None:
        return skip_reason(shape, dtype, weight_threshold=settings.weight_threshold, requested=settings.requested)

    def _mask(self, name: str, array: np.ndarray, config: PruneConfig) -> np.ndarray:
        if config.scope == "tensor":
            return mask(array, config, name=name)
        if config not in self._thresholds:
            self._thresholds[config] = global_threshold(lambda: self._members(config), config)
        found, self._thresholds[config] = mask_by(array, config, self._thresholds[config], name)
        return found

    def counts_with_others(self, name: str, shape: tuple[int, ...], dtype: np.dtype) -> bool:
        """Return whether a tensor is pruned with others, by a density over all of them."""
        settings = self._settings[name]
        together = settings.pruning is not None and settings.pruning.scope != "tensor" and not settings.leave
        return together and self._unsuited(shape, dtype, settings) is None

    def _members(self, config: PruneConfig) -> Iterator[tuple[str, np.ndarray]]:
        """The tensors that are pruned together."""
        for name in self._names:
            settings = self._settings[name]
            if settings.pruning == config and not settings.leave:
                array = np.asarray(self._read(name))
                if self._skip_reason(name, array, settings) is None:
                    yield name, array
