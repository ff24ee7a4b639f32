"""Pretrained networks made small without training: size against fidelity, method by method."""
