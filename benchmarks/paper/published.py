"""What the paper publishes (Han, Mao, Dally, ICLR 2016, arXiv 1510.00149v5), as its tables have it.

Three of the numbers cannot be: the average Huffman length of LeNet-5's ip2 (5.2 bits for at most 32 clusters), and the
totals' Huffman bits of both LeNets, which lie outside the range of their own rows. The rows of LeNet-5 and VGG-16 do
not add up to their totals either (36.6 and 52.7 times, where the totals say 39 and 49).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One layer of Tables 2 to 5: weights, % kept, bits per weight and per index without (`pq`) and with (`pqh`)
    Huffman coding, and what is stored in % of 32 bits a weight."""

    name: str
    weights: int
    kept: float
    weight_pq: float
    weight_pqh: float
    index_pq: float
    index_pqh: float
    rate_pq: float
    rate_pqh: float


@dataclass(frozen=True)
class Total:
    """A network in Table 1: errors in %, bytes, how many times smaller."""

    error: float
    compressed_error: float
    bytes: int
    compressed_bytes: int
    times: float


def _rows(table: str) -> tuple[Row, ...]:
    rows = (line.split() for line in table.strip().splitlines())
    return tuple(Row(name, int(weights), *map(float, rest)) for name, weights, *rest in rows)


LENET_300_100 = _rows("""
    ip1    235200   8   6   4.4  5  3.7   3.1   2.32
    ip2     30000   9   6   4.4  5  4.3   3.8   3.04
    ip3      1000  26   6   4.3  5  3.2  15.7  12.70
""")
LENET_5 = _rows("""
    conv1     500  66   8   7.2  5  1.5  78.5  67.45
    conv2   25000  12   8   7.2  5  3.9   6.0   5.28
    ip1    400000   8   5   4.5  5  4.5   2.7   2.45
    ip2      5000  19   5   5.2  5  3.7   6.9   6.13
""")
ALEXNET = _rows("""
    conv1    34848  84   8  6.3  4  1.2  32.6  20.53
    conv2   307200  38   8  5.5  4  2.3  14.5   9.43
    conv3   884736  35   8  5.1  4  2.6  13.1   8.44
    conv4   663552  37   8  5.2  4  2.5  14.1   9.11
    conv5   442368  37   8  5.6  4  2.5  14.0   9.43
    fc6   37748736   9   5  3.9  4  3.2   3.0   2.39
    fc7   16777216   9   5  3.6  4  3.7   3.0   2.46
    fc8    4096000  25   5  4.0  4  3.2   7.3   5.85
""")
VGG_16 = _rows("""
    conv1_1      1728  58   8  6.8  5  1.7  40.0  29.97
    conv1_2     36864  22   8  6.5  5  2.6   9.8   6.99
    conv2_1     73728  34   8  5.6  5  2.4  14.3   8.91
    conv2_2    147456  36   8  5.9  5  2.3  14.7   9.31
    conv3_1    294912  53   8  4.8  5  1.8  21.7  11.15
    conv3_2    589824  24   8  4.6  5  2.9   9.7   5.67
    conv3_3    589824  42   8  4.6  5  2.2  17.0   8.96
    conv4_1   1179648  32   8  4.6  5  2.6  13.1   7.29
    conv4_2   2359296  27   8  4.2  5  2.9  10.9   5.93
    conv4_3   2359296  34   8  4.4  5  2.5  14.0   7.47
    conv5_1   2359296  35   8  4.7  5  2.5  14.3   8.00
    conv5_2   2359296  29   8  4.6  5  2.7  11.7   6.52
    conv5_3   2359296  36   8  4.6  5  2.3  14.8   7.79
    fc6     102760448   4   5  3.6  5  3.5   1.6   1.10
    fc7      16777216   4   5  4.0  5  4.3   1.5   1.25
    fc8       4096000  23   5  4.0  5  3.4   7.1   5.24
""")

# Table 1. Top-1 errors; bytes as printed, KB and MB of 1000.
TOTALS = {
    "LeNet-300-100": Total(1.64, 1.58, 1_070_000, 27_000, 40),
    "LeNet-5": Total(0.80, 0.74, 1_720_000, 44_000, 39),
    "AlexNet": Total(42.78, 42.78, 240_000_000, 6_900_000, 35),
    "VGG-16": Total(31.50, 31.17, 552_000_000, 11_300_000, 49),
}
# The last lines of Tables 2 to 5: rates in % without and with Huffman coding.
TOTAL_RATES = {
    "LeNet-300-100": (3.1, 2.49),
    "LeNet-5": (3.05, 2.55),
    "AlexNet": (3.7, 2.88),
    "VGG-16": (3.2, 2.05),
}
