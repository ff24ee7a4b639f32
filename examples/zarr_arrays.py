"""Arrays of zarr whose chunks are dcz, in format 3 and format 2.

pip install '.[zarr,numcodecs]' && python zarr_arrays.py
"""

import tempfile

import numpy as np
import zarr

import dcz

rng = np.random.default_rng(0)
weights = np.where(rng.random((1024, 1024)) < 0.1, rng.integers(1, 17, (1024, 1024)) / 16, 0).astype("float32")

with tempfile.TemporaryDirectory() as folder:
    options = {"data": weights, "chunks": (256, 1024)}
    three = zarr.create_array(f"{folder}/three.zarr", serializer=dcz.zarr.Dcz(), compressors=None, **options)
    two = zarr.create_array(f"{folder}/two.zarr", zarr_format=2, compressors=dcz.numcodecs.Dcz(), **options)
    plain = zarr.create_array(f"{folder}/plain.zarr", **options)  # zarr's own choice
    assert (three[:] == weights).all() and (two[:] == weights).all()
    for name, array in (("format 3, dcz", three), ("format 2, dcz", two), ("zarr's own codec", plain)):
        print(f"{name}: {array.nbytes_stored():,} of {weights.nbytes:,} bytes")
