"""Layer shapes from a Caffe deploy prototxt, and a clear error for every text that is none."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcz.convert.prototxt import weighted_layers
from dcz.errors import FormatError, LimitError
from support.net import PROTOTXT, SHAPES

INPUT = 'input: "d" input_shape { dim: 1 dim: 3 dim: 12 dim: 10 } '


def layer(kind: str, fields: str = "", bottom: str = 'bottom: "d"', top: str = "t", name: str = "L") -> str:
    return f'layer {{ name: "{name}" type: "{kind}" {bottom} top: "{top}" {fields} }} '


def convolution(fields: str) -> str:
    return INPUT + layer("Convolution", f"convolution_param {{ {fields} }}")


def classifier(before: str) -> tuple[int, ...]:
    """The shape of a classifier behind some layers: what size flows out of them."""
    text = INPUT + before + layer("InnerProduct", "inner_product_param { num_output: 7 }", 'bottom: "t"', "u", "fc")
    return weighted_layers(text, "p")[-1].shape


def test_the_tiny_network() -> None:
    assert {each.name: each.shape for each in weighted_layers(PROTOTXT, "p")} == SHAPES


@pytest.mark.parametrize(
    ("before", "inputs"),
    [
        (layer("ReLU"), 3 * 12 * 10),
        (layer("Pooling", "pooling_param { kernel_size: 3 stride: 2 }"), 3 * 6 * 5),  # rounds up
        (layer("Pooling", "pooling_param { kernel_size: 2 stride: 2 }"), 3 * 6 * 5),
        (layer("Pooling", "pooling_param { global_pooling: true }"), 3),
        (
            layer("Convolution", "convolution_param { num_output: 8 kernel_size: 3 stride: 2 }"),
            8 * 5 * 4,
        ),  # rounds down
        (layer("Convolution", "convolution_param { num_output: 8 kernel_size: 3 pad: 1 }"), 8 * 12 * 10),
        (layer("Convolution", "convolution_param { num_output: 8 kernel_size: 3 dilation: 2 }"), 8 * 8 * 6),
        (layer("Convolution", "convolution_param { num_output: 8 kernel_size: 3 kernel_size: 5 }"), 8 * 10 * 6),
        (layer("Convolution", "convolution_param { num_output: 2 kernel_h: 1 kernel_w: 10 }"), 2 * 12),
        (layer("Concat", "", 'bottom: "d" bottom: "d"'), 6 * 12 * 10),
        (layer("Flatten"), 360),
        (layer("InnerProduct", "inner_product_param { num_output: 9 }"), 9),
        (layer("Data", "include { phase: TRAIN }", "", "d") + layer("ReLU"), 360),
        (layer("ReLU", "include { phase: TEST }"), 360),
    ],
)
def test_sizes_that_flow(before: str, inputs: int) -> None:
    assert classifier(before) == (7, inputs)


@pytest.mark.parametrize(
    "text",
    [
        'input: "d" input_dim: 1 input_dim: 3 input_dim: 5 input_dim: 5 '
        + layer("InnerProduct", "inner_product_param { num_output: 2 }"),
        layer("Input", "input_param { shape: { dim: [1, 3, 5, 5] } }", "", "d")
        + layer("InnerProduct", "inner_product_param { num_output: 2 }"),
        "input: 'd'; input_shape: < dim: 1, dim: 75 > "
        + layer("INNER_PRODUCT", "inner_product_param: { num_output: 2; }"),
        'name: "#no comment" # a comment } \n input: "d" input_shape { dim: 1 dim: 75 }\n'
        + layer("InnerProduct", "inner_product_param { num_output: 2 }"),
    ],
)  # fmt: skip
def test_ways_to_write_it(text: str) -> None:
    (found,) = weighted_layers(text, "p")
    assert (found.name, found.shape, found.bias) == ("L", (2, 75), True)


ERRORS = {
    "no layer": ("", "no Convolution or InnerProduct layer; is this a Caffe deploy prototxt"),
    "a character": ("name: \x01", "p:1: unexpected '\\\\x01'; is this a Caffe prototxt"),
    "a text without end": ('a: 1\nname: "x', "p:2: unexpected"),
    "a brace too many": ("a { } }", "a closing brace too many"),
    "a brace too few": ("a { b: 1", "the file ends inside a brace"),
    "a field without value": ("name:", "field 'name' has no value"),
    "a field with a brace for value": ("a { name: }", "field 'name' has no value"),
    "a field without colon": ("name 5", "field 'name' has no value"),
    "braces too deep": ("a {" * 70, "nested deeper than 64"),
    "a bottom nobody gives": (layer("ReLU"), "layer 'L' reads 'd', whose size is not known"),
    "no bottom": (layer("ReLU", "", ""), "layer 'L' has no input"),
    "an unknown layer": (INPUT + layer("Silence"), "is of type 'silence', whose output size is not known here; give"),
    "no kernel": (convolution("num_output: 1"), "layer 'L' has no kernel_size"),
    "no outputs": (convolution("kernel_size: 1"), "layer 'L' has no num_output"),
    "outputs that are text": (convolution("num_output: many kernel_size: 1"), "num_output: expected a small number"),
    "outputs that are negative": (convolution("num_output: -1 kernel_size: 1"), "expected a small number, found '-1'"),
    "outputs in braces": (convolution("num_output { } kernel_size: 1"), "expected a small number, found {}"),
    "outputs too large": (convolution("num_output: 99999999999 kernel_size: 1"), "expected a small number"),
    "outputs in another script": (convolution("num_output: \u00b2 kernel_size: 1"), "expected a small number"),
    "zero outputs": (convolution("num_output: 0 kernel_size: 1"), r"gives 't' the size \(0, 12, 10\)"),
    "a kernel too large": (convolution("num_output: 1 kernel_size: 13"), "a window of 13 does not fit an input of 12"),
    "a kernel of nothing": (convolution("num_output: 1 kernel_size: 0"), "a window of 0 does not fit"),
    "no stride": (convolution("num_output: 1 kernel_size: 1 stride: 0"), "does not fit"),
    "groups that do not divide": (convolution("num_output: 4 kernel_size: 1 group: 2"), "2 groups do not divide its"),
    "zero groups": (convolution("num_output: 4 kernel_size: 1 group: 0"), "0 groups do not divide its"),
    "a group that is text": (convolution("num_output: 4 kernel_size: 1 group: x"), "group: expected a small number"),
    "a flat input": (
        'input: "d" input_shape { dim: 1 dim: 9 }' + layer("Convolution"), r"convolves an input of size \(9,\)",
    ),
    "a flat input to a pool": ('input: "d" input_shape { dim: 1 dim: 9 }' + layer("Pooling"), "'pooling'"),
    "an input of no size": ('input: "d" input_shape { dim: 1 }', r"gives 'd' the size \(\), expected positive numbers"),
    "an input of size zero": ('input: "d" input_shape { dim: 1 dim: 0 }', r"gives 'd' the size \(0,\)"),
    "an input of text": ('input: "d" input_dim: x', "layer 'input': input_dim: expected a small number, found 'x'"),
    "an input in braces": ("input { } input_shape { dim: 1 dim: 2 }", "input: expected a name, found a message"),
    "a bottom in braces": (INPUT + layer("ReLU", "", "bottom { }"), "bottom: expected a name, found a message"),
    "a top in braces": (INPUT + 'layer { type: "ReLU" bottom: "d" top { } }', "top: expected a name, found a message"),
    "layers that double": (INPUT + "".join(
        f'layer {{ type: "Concat" bottom: "{i or "d"}" bottom: "{i or "d"}" top: "{i + 1}" }}'
        for i in range(200)
    ), "has more than 1099511627776 numbers"),
    "weights too large": (
        'input: "d" input_shape { dim: 1 dim: 99999999 }'
        + layer("InnerProduct", "inner_product_param { num_output: 99999999 }"),
        "layer 'L' has more than 1099511627776 weights",
    ),
    "a megabyte of braces": ("a { " * 270_000, "1080000 characters; the limit is 1048576"),
    "a megabyte of one fault": ("a { " * 70 + "}" * 1_000_000, "nested deeper than 64"),
}  # fmt: skip


@pytest.mark.parametrize("name", ERRORS)
def test_an_error(name: str) -> None:
    text, message = ERRORS[name]
    with pytest.raises((FormatError, LimitError), match=message) as raised:
        weighted_layers(text, "p")
    assert str(raised.value).startswith("p:")


TOKENS = re.findall(r'\w+|"[^"]*"|\S', PROTOTXT)


@given(data=st.data())
def test_garbled_text(data: st.DataObject) -> None:
    """Tokens lost, doubled and exchanged: shapes or an error of dcz, nothing else."""
    tokens = list(TOKENS)
    more = st.sampled_from([*set(TOKENS), "{}", "-1", "0", "[", "]", "dim", "group", "x", "\u00b2", "1e9"])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(tokens) - 1))
        tokens[at : at + data.draw(st.integers(0, 1))] = data.draw(st.lists(more, max_size=2))
    try:
        found = weighted_layers(" ".join(tokens), "p")
    except (FormatError, LimitError):
        return
    assert all(min(each.shape) > 0 for each in found)
