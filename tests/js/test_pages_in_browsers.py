"""The pages in a real browser, opened as files: what they show is right, and they ask nothing of the network."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dcz
from benchmarks.paper import strokes
from dcz.convert import open_model, open_target, transfer
from support.arrays import CODES, make_array
from support.browser import show, wait, webdriver
from support.js_programs import JS

SIZES = [(1280, False), (390, True)]
HOSTILE = "</script><img src=x onerror=alert(1)>&\u202e\n"


def text(browser: Any, name: str) -> str:
    return browser.execute_script(f"return document.getElementById('{name}')?.textContent ?? ''")


def choose(browser: Any, path: Path) -> None:
    """Opens a file as the button does."""
    turn = int(browser.execute_script("return document.documentElement.dataset.ready")) + 1
    browser.find_element("id", "file").send_keys(str(path))
    wait(browser, f"document.documentElement.dataset.ready === '{turn}'")


def complaints(browser: Any) -> list[str]:
    """What the browser said, and what it asked for elsewhere than in the page and the machine's files."""
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    elsewhere = [url for url in asked if not url.startswith(("file:", "data:", "blob:"))]
    return [entry["message"] for entry in browser.get_log("browser")] + elsewhere


def rows(browser: Any) -> list[list[str]]:
    script = (
        "return [...document.querySelectorAll('#rows tbody tr')].map((r) => [...r.cells].map((c) => c.textContent))"
    )
    return browser.execute_script(script)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every dtype, hostile names, and tensors with nothing in them."""
    tensors = {code: make_array(i, code, (60, 70), 0.3, 40, "float") for i, code in enumerate(CODES)}
    tensors |= {
        HOSTILE: make_array(7, "I8", (64, 64), 0.1, 5),
        "x" * 1000: make_array(6, "F16", (64, 64), 0.5, 100, "float"),
        "nan": np.full((40, 50), np.nan, "<f4"),
        "zeros": np.zeros((30, 50), "<f4"),
        "empty": np.zeros((0, 7), "<f4"),
        "scalar": np.array(3, "<i8"),
        "zz tied": make_array(2, "F32", (30,), 1.0, 9),
    }
    tensors["zz tied too"] = tensors["zz tied"].copy()
    path = tmp_path_factory.mktemp("page") / "model.dcz"
    dcz.save_file(tensors, path, metadata={"note": "</pre><b>é", "n": 2**60})
    return path


@pytest.mark.parametrize(("width", "dark"), SIZES)
def test_the_viewer_shows_every_tensor(browser: Any, built: Path, model: Path, width: int, dark: bool) -> None:
    show(browser, built / "viewer.html", width, dark)
    choose(browser, model)
    with dcz.open(model) as reader:
        names = [name for name in reader if name not in reader.aliases]
        stored = {f"{reader.info(name).stored:,}" for name in names}
    assert len(rows(browser)) == len(names)
    assert {row[5] for row in rows(browser)} == stored
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert browser.execute_script("return document.documentElement.dataset.theme") == ("dark" if dark else "light")
    assert browser.execute_script("return document.images.length") == 0  # a name is a name, not a tag
    pick = "document.getElementById('status').textContent = ''; const p = document.getElementById('pick'); "
    for i in range(len(names)):
        browser.execute_script(f"{pick} p.value = {i}; p.onchange()")
        wait(
            browser,
            "/Decoded/.test(document.getElementById('status').textContent)"
            " || document.getElementById('picture-note').textContent",
        )
    assert "NaN" not in browser.execute_script("return document.getElementById('histogram').innerHTML")
    browser.execute_script("document.getElementById('verify').click()")
    wait(browser, "/every checksum matches/.test(document.getElementById('status').textContent)")
    assert text(browser, "error") == "" and complaints(browser) == []


def test_the_viewer_sorts_filters_and_looks_by_keyboard(browser: Any, built: Path, model: Path) -> None:
    show(browser, built / "viewer.html")
    choose(browser, model)
    browser.execute_script("document.querySelectorAll('#rows thead button')[5].click()")
    sizes = [int(row[5].replace(",", "")) for row in rows(browser)]
    assert sizes == sorted(sizes, reverse=True)
    browser.find_element("id", "filter").send_keys("f8_E4")
    assert len(rows(browser)) == sum("F8_E4" in code for code in CODES)
    browser.find_element("id", "filter").clear()
    browser.find_element("id", "filter").send_keys("zz")
    assert [row[4] for row in rows(browser)][1] == "same as zz tied"
    browser.execute_script(
        "const p = document.getElementById('pick'), is32 = (o) => o.textContent === 'F32';"
        "p.value = [...p.options].findIndex(is32); p.onchange()"
    )
    wait(browser, "document.getElementById('under') && /^Decoded/.test(document.getElementById('status').textContent)")
    array = dcz.load_file(model)["F32"]
    browser.find_element("id", "picture").send_keys("\ue014" * 3 + "\ue015")
    wanted = float(array[1, 3])
    assert text(browser, "under").startswith("[1, 3] = ")
    assert float(text(browser, "under").split("= ")[1]) == pytest.approx(wanted, rel=1e-3)


def test_the_viewer_says_what_is_wrong(browser: Any, built: Path, model: Path, tmp_path: Path) -> None:
    show(browser, built / "viewer.html")
    for name, data, kind in (
        ("text", b"hello" * 20, "FormatError"),
        ("cut", model.read_bytes()[:-50], "TruncatedError"),
        ("bits", model.read_bytes()[:-30] + bytes(30), "TruncatedError"),
    ):
        path = tmp_path / name
        path.write_bytes(data)
        choose(browser, path)
        assert text(browser, "error").startswith(kind), name
    data = bytearray(model.read_bytes())
    data[100] ^= 1
    (tmp_path / "flipped.dcz").write_bytes(data)
    choose(browser, tmp_path / "flipped.dcz")
    browser.execute_script("document.getElementById('verify').click()")
    wait(browser, "/^ChecksumError/.test(document.getElementById('error').textContent)")
    choose(browser, model)
    assert not browser.find_element("id", "error").is_displayed()


@pytest.mark.skipif("DCZ_DATA" not in os.environ, reason="DCZ_DATA names no folder with the published SqueezeNet")
@pytest.mark.parametrize(("width", "dark"), SIZES)
def test_the_viewer_on_the_published_squeezenet(
    browser: Any, built: Path, tmp_path: Path, width: int, dark: bool
) -> None:
    """All 52 tensors decode to the contents that the index has checksums of."""
    source, path = Path(os.environ["DCZ_DATA"]), tmp_path / "squeezenet.dcz"
    with open_model(source / "compressed_SqueezeNet.net", shapes=source / "SqueezeNet_deploy.prototxt") as net:
        transfer(net, open_target(path))
    show(browser, built / "viewer.html", width, dark)
    choose(browser, path)
    assert len(rows(browser)) == 52
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    browser.execute_script("document.getElementById('verify').click()")
    wait(browser, "/every checksum matches/.test(document.getElementById('status').textContent)")
    assert complaints(browser) == []


@pytest.mark.parametrize(("width", "dark"), SIZES)
def test_the_page_reads_digits(browser: Any, built: Path, width: int, dark: bool) -> None:
    """Those that keys write, and a line that a pointer draws."""
    show(browser, built / "digits.html", width, dark)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    browser.execute_script("Math.random = () => 0.5")
    answer = "return document.documentElement.dataset.answer"
    for digit in "0123456789":
        browser.find_element("tag name", "body").send_keys(digit)
        assert browser.execute_script(answer) == digit
    browser.find_element("id", "clear").click()
    assert browser.execute_script(answer) == ""
    pad = browser.find_element("id", "pad")
    actions = webdriver.ActionChains(browser).move_to_element_with_offset(pad, 0, -100).click_and_hold()
    actions.move_by_offset(-2, 60).move_by_offset(-2, 60).move_by_offset(-2, 60).release().perform()
    assert browser.execute_script(answer) == "1"
    assert complaints(browser) == []


def test_the_network_of_the_page() -> None:
    """It reads made digits that it has not seen; its file needs no zstd."""
    path = JS / "digits" / "lenet-300-100.dcz"
    model = dcz.load_file(path)
    images, labels = strokes.images(400, 3)
    values = images.reshape(len(images), -1)
    for layer in ("ip1", "ip2", "ip3"):
        values = values @ model[f"{layer}.weight"].T + model[f"{layer}.bias"]
        values = np.maximum(values, 0) if layer != "ip3" else values
    assert (values.argmax(1) == labels).mean() > 0.99
    assert path.stat().st_size < 8_000 and b"zstd" not in path.read_bytes()


def test_sizes(built: Path) -> None:
    """What is promised of downloads, as servers send them."""
    wasm = (built / "dcz.wasm").read_bytes()
    assert len(wasm) < 60_000 and len(gzip.compress(wasm)) < 30_000
    assert len(gzip.compress((built / "digits.html").read_bytes())) < 30_000
