"""Every integration, every dtype, every layout: the same bits in the framework as in the file."""

from __future__ import annotations

import numpy as np
import pytest

import dcz
from dcz.dtypes import DTYPES
from dcz.errors import UnsupportedError
from dcz.tensor import PROFILES
from support.arrays import CODES, make_array
from support.bits import assert_same_bits
from support.frameworks import INTEGRATIONS, LACKS, bits, integration, make

SHAPES = ((), (0, 3), (1,), (48, 60), (2, 3, 4, 5))


# Bits of a byte that mean something: frameworks need not keep the others.
MEANING = {"BOOL": 0x01, "F4": 0x0F, "F6_E2M3": 0x3F, "F6_E3M2": 0x3F}


def arrays(code: str) -> list[np.ndarray]:
    """Pruned and clustered, pruned only, dense, hostile to what looks at values."""
    kinds = ((0.1, 15, "float"), (0.2, 5000, "random"), (1.0, 5000, "random"), (0.6, 40, "hostile"))
    found = [make_array(n, code, shape, *kind) for n, kind in enumerate(kinds) for shape in SHAPES]
    if code in MEANING:
        found = [(array.view(np.uint8) & np.uint8(MEANING[code])).view(array.dtype) for array in found]
    return found


def expected(array: np.ndarray) -> tuple[str, tuple[int, ...], bytes]:
    return array.dtype.name, array.shape, array.tobytes()


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("name", INTEGRATIONS)
def test_the_same_bits_in_every_layout(name: str, code: str) -> None:
    own = integration(name)
    if code in LACKS[name]:
        with pytest.raises(UnsupportedError, match="'w': .*(lacks|has no|would narrow|would turn|takes no)"):
            own.load(dcz.save({"w": make_array(1, code, (4, 5))}))
        return
    for profile in PROFILES:
        found = {str(n): array for n, array in enumerate(arrays(code))}
        loaded = own.load(dcz.save(found, profile=profile))
        assert list(loaded) == sorted(found)
        for key, array in found.items():
            assert bits(name, loaded[key]) == expected(array), (profile, key)
        stored = dcz.load(own.save({key: make(name, array) for key, array in found.items()}, profile=profile))
        for key, array in found.items():
            assert_same_bits(stored[key], array)


def test_the_matrix_has_every_layout() -> None:
    found = set()
    for profile in PROFILES:
        with dcz.open(dcz.save({str(n): array for n, array in enumerate(arrays("F32"))}, profile=profile)) as reader:
            found |= {(reader.info(key).layout.positions, reader.info(key).layout.values) for key in reader}
    assert {positions for positions, _ in found} >= {"all", "bitmap", "relative8", "relative5"}
    assert {values for _, values in found} == {"codebook", "planes", "bytes"}


def test_every_dtype_is_in_some_framework() -> None:
    anywhere = {code for code in DTYPES if any(code not in lacks for lacks in LACKS.values())}
    assert set(DTYPES) - anywhere == {"F6_E2M3", "F6_E3M2"}
