"""Chromium without a window, for tests of pages: the fixture `browser` is one."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

webdriver = pytest.importorskip("selenium.webdriver", reason="driving a browser needs selenium")


@contextlib.contextmanager
def chromium() -> Iterator[Any]:
    """A browser which keeps what it says and what it asks of the network; skips the test where there is none."""
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (program and driver):
        pytest.skip("no chromium and chromedriver on this machine (Debian: chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    with webdriver.Chrome(options=options, service=webdriver.ChromeService(driver)) as found:
        yield found


def show(browser: Any, page: Path, width: int = 1280, dark: bool = False) -> dict[str, object]:
    """Opens a page at a width in CSS pixels and in a theme; returns the metrics of the device, to change them."""
    features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.get(page.as_uri())
    wait(browser, "document.documentElement.dataset.ready")
    return metrics


def wait(browser: Any, expression: str) -> Any:
    """The value of a JavaScript expression once there is one."""
    for _ in range(300):
        found = browser.execute_script(f"return {expression}")
        if found:
            return found
        time.sleep(0.05)
    shown = browser.execute_script("return document.getElementById('error')?.textContent ?? ''")
    raise AssertionError(f"nothing after 15 seconds: {expression}; {browser.get_log('browser')}; {shown}")
