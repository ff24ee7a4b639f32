"""Arrays that another thread changes while they are saved: they are copied, or found out and refused."""

from __future__ import annotations

from dcz.errors import DczError
from dcz.kernels.interface import KernelError
from dcz.tensor.words import Words, WordSource

# Words of at most so many bytes are copied before anything is made of them, so that an array that another thread
# changes meanwhile cannot contradict its checksum. Larger ones are checked afterwards: a copy would take their memory
# again, and more time than another checksum.
PRIVATE_BYTES = 1 << 16


def is_private(words: WordSource) -> bool:
    """Return whether `private` copies words of this size."""
    return words.nbytes <= PRIVATE_BYTES


def private(words: WordSource) -> WordSource:
    """Return words that nobody else changes, if they are few; many are compared by their CRC-32C before and after."""
    return Words(words.part(0, words.count).copy(), words.dtype, words.shape) if is_private(words) else words


def changed(name: str) -> DczError:
    """Return the error for an array that is not what it was."""
    return DczError(f"tensor {name!r}: the array changed while it was being saved; save a copy of it")


class ChangesRefused:
    """Turn a kernel's refusal into the error for an array that changed: what kernels were told was true before."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, (KernelError, ValueError, IndexError)) and not isinstance(error, DczError):
            raise changed(self._name) from error
