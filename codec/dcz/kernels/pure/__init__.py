"""The kernels in Python, numpy and bitarray: for machines without a compiler, and to test the native ones against."""

from dcz.kernels.pure.kernels import PureKernels

__all__ = ["PureKernels"]
