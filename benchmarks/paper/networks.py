"""The paper's two networks for digits: LeNet-300-100 and Caffe's LeNet-5."""

from __future__ import annotations

import torch
from torch import nn

from .published import LENET_5, LENET_300_100, Row


class LeNet300100(nn.Sequential):
    """Two hidden layers of 300 and 100 units: 266,200 weights and 410 biases."""

    title = "LeNet-300-100"
    rows: tuple[Row, ...] = LENET_300_100

    def __init__(self) -> None:
        super().__init__()
        self.add_module("flat", nn.Flatten())
        self.add_module("ip1", nn.Linear(784, 300))
        self.add_module("relu1", nn.ReLU())
        self.add_module("ip2", nn.Linear(300, 100))
        self.add_module("relu2", nn.ReLU())
        self.add_module("ip3", nn.Linear(100, 10))


class LeNet5(nn.Sequential):
    """Two convolutions of 20 and 50 channels and two linear layers, as Caffe has it: 430,500 weights, 580 biases."""

    title = "LeNet-5"
    rows: tuple[Row, ...] = LENET_5

    def __init__(self) -> None:
        super().__init__()
        self.add_module("conv1", nn.Conv2d(1, 20, 5))
        self.add_module("pool1", nn.MaxPool2d(2))
        self.add_module("conv2", nn.Conv2d(20, 50, 5))
        self.add_module("pool2", nn.MaxPool2d(2))
        self.add_module("flat", nn.Flatten())
        self.add_module("ip1", nn.Linear(800, 500))
        self.add_module("relu1", nn.ReLU())
        self.add_module("ip2", nn.Linear(500, 10))


Network = LeNet300100 | LeNet5


def build(kind: type[Network], seed: int) -> Network:
    """A network with seeded random weights."""
    torch.manual_seed(seed)
    return kind()
