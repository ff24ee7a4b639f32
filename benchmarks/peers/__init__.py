"""The peers, in one literal table: none is found by accident, none is left out silently."""

from benchmarks.peers.bitarray import BitarrayHuffman
from benchmarks.peers.blosc import Blosc
from benchmarks.peers.compressed_tensors import CompressedTensors
from benchmarks.peers.copy import Copy
from benchmarks.peers.csr import ScipyCsr
from benchmarks.peers.dcz import Dcz, DczPortable
from benchmarks.peers.nncodec import NNCodec
from benchmarks.peers.npz import Npz
from benchmarks.peers.openzl import OpenZLFloats, OpenZLGaps, OpenZLTokens
from benchmarks.peers.pcodec import Pcodec, PcodecCodes
from benchmarks.peers.peer import Peer
from benchmarks.peers.safetensors import Safetensors
from benchmarks.peers.xz import Xz
from benchmarks.peers.zipnn import ZipNN
from benchmarks.peers.zstd import Zstd3, Zstd19

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
