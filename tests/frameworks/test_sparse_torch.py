"""torch's compressed sparse rows from a file."""

from __future__ import annotations

import numpy as np
import pytest

import dcz
from dcz.errors import DczError
from support.arrays import make_array
from support.frameworks import framework, integration

torch = framework("torch")
dcz_torch = integration("torch")


@pytest.mark.parametrize("code", ["F32", "BF16", "F64", "I32"])
def test_the_same_elements_as_the_dense_tensor(code: str) -> None:
    reader = dcz.open(dcz.save({"w": make_array(2, code, (300, 210), 0.1, 15, "counter")}))
    found = dcz_torch.get_csr(reader, "w")
    assert found.layout == torch.sparse_csr and found.shape == (300, 210)
    assert torch.equal(found.to_dense(), dcz_torch.load(dcz.save({"w": reader["w"]}))["w"])
    assert found.values().numel() == reader.info("w").nonzeros


def test_a_product() -> None:
    reader = dcz.open(dcz.save({"w": make_array(2, "F32", (300, 210), 0.1, 15, "counter").astype("f4") / 7}))
    x = torch.randn(210)
    dense = torch.from_numpy(reader["w"])
    torch.testing.assert_close(dcz_torch.get_csr(reader, "w") @ x, dense @ x)


def test_other_than_two_dimensions_is_refused() -> None:
    reader = dcz.open(dcz.save({"w": np.ones((2, 3, 4))}))
    with pytest.raises(DczError, match=r"two dimensions, it has 3 \(2, 3, 4\)"):
        dcz_torch.get_csr(reader, "w")
