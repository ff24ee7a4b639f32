"""The peers, in one literal table: none is found by accident, none is left out silently."""

from benchmarks.suite.peers.bitarray import BitarrayHuffman
from benchmarks.suite.peers.blosc import Blosc
from benchmarks.suite.peers.compressed_tensors import CompressedTensors
from benchmarks.suite.peers.copy import Copy
from benchmarks.suite.peers.csr import ScipyCsr
from benchmarks.suite.peers.dcz import Dcz, DczPortable
from benchmarks.suite.peers.nncodec import NNCodec
from benchmarks.suite.peers.npz import Npz
from benchmarks.suite.peers.openzl import OpenZLFloats, OpenZLGaps, OpenZLTokens
from benchmarks.suite.peers.pcodec import Pcodec, PcodecCodes
from benchmarks.suite.peers.peer import Peer
from benchmarks.suite.peers.safetensors import Safetensors
from benchmarks.suite.peers.xz import Xz
from benchmarks.suite.peers.zipnn import ZipNN
from benchmarks.suite.peers.zstd import Zstd3, Zstd19

PEERS: dict[str, type[Peer]] = {
    "dcz": Dcz,
    "dcz-portable": DczPortable,
    "copy": Copy,
    "safetensors": Safetensors,
    "npz": Npz,
    "zstd-3": Zstd3,
    "zstd-19": Zstd19,
    "xz": Xz,
    "blosc2": Blosc,
    "zipnn": ZipNN,
    "openzl-tokens": OpenZLTokens,
    "openzl-floats": OpenZLFloats,
    "openzl-gaps": OpenZLGaps,
    "pcodec": Pcodec,
    "pcodec-codes": PcodecCodes,
    "nncodec": NNCodec,
    "compressed-tensors": CompressedTensors,
    "scipy-csr": ScipyCsr,
    "bitarray": BitarrayHuffman,
}
REFERENCES = ("copy",)
OWN = ("dcz", "dcz-portable")

__all__ = ["OWN", "PEERS", "REFERENCES", "Peer"]
