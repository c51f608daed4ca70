"""The package as pip installs it: every config is there, and it exports."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import REPOSITORY
from lexiseg_models.configuration import config_names
from lexiseg_models.methods import METHODS

pytestmark = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("pip", "setuptools")),
    reason="pip or setuptools is not here, and nothing is fetched",
)
MODELS = REPOSITORY / "models"
TIMEOUT = 300


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that pip installed the package into, without a network."""
    folder = tmp_path_factory.mktemp("install")
    source, site = folder / "source", folder / "site"
    # setuptools writes beside what it builds.
    unneeded = shutil.ignore_patterns("__pycache__", "bundles", "build", "*.egg-info")
    shutil.copytree(MODELS, source, ignore=unneeded)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    alone = ["--no-index", "--no-deps", "--no-build-isolation", "--target", str(site)]
    subprocess.run([*pip, *alone, str(source)], check=True, timeout=TIMEOUT)
    return site


def run(site: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """The installed exporter, away from the checkout."""
    environment = {**os.environ, "PYTHONPATH": str(site), **variables}
    if "LEXISEG_OPS" not in variables:
        environment.pop("LEXISEG_OPS", None)
    return subprocess.run(
        [sys.executable, "-m", "lexiseg_models", *arguments],
        cwd=site.parent,
        env=environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )


def test_every_config_is_installed(installed):
    done = run(installed, "export", "pacl", "--config", "huge", "--random-init", "--out", "x.pt")
    assert done.returncode == 2
    for method in METHODS:
        assert f"configs of {method}: {', '.join(config_names(method))}\n" in f"{done.stderr}\n"


def test_without_operators_it_says_where_they_are(installed):
    arguments = ("export", "gkc", "--config", "tiny", "--random-init", "--out", "x.pt")
    done = run(installed, *arguments)
    assert done.returncode == 1
    assert "Set LEXISEG_OPS to its path. `npm run build:native`" in done.stderr
    assert str(installed.parent) not in done.stderr
    assert not (installed.parent / "x.pt").exists()


def test_with_operators_it_exports(installed):
    loaded = (place for place in torch.ops.loaded_libraries if "liblexiseg_ops" in place)
    arguments = ("export", "gkc", "--config", "tiny", "--random-init", "--out", "x.pt")
    done = run(installed, *arguments, LEXISEG_OPS=next(loaded))
    assert done.returncode == 0, done.stderr
    assert (installed.parent / "x.pt").stat().st_size > 100_000
