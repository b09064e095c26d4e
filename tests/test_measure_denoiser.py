"""docs/denoiser.md says what was measured, and the weights that ship are what was measured."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from tinydeconv import models
from tinydeconv.data import SIGMA, photograph
from tinydeconv.recipes.denoise import denoised, quality
from tinydeconv.serialize import load_json

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
import measure_denoiser as tool  # noqa: E402
from measured import page  # noqa: E402

RECORD = json.loads(tool.RECORD.read_text(encoding="utf-8"))
PAGE = tool.PAGE.read_text(encoding="utf-8")


def test_the_tables_say_what_was_measured():
    assert page(RECORD, PAGE, tool.TABLES) == PAGE, "run python tools/measure_denoiser.py --write"
    for name in tool.TABLES:
        assert f"<!-- table {name} -->\n|" in PAGE


def test_a_changed_record_changes_the_page():
    changed = json.loads(json.dumps(RECORD))
    changed["levels"]["camera"]["25"]["network"]["psnr"] += 1
    assert page(changed, PAGE, tool.TABLES) != PAGE


def test_the_shipped_weights_were_measured():
    assert RECORD["made"] == load_json(models.SHIPPED, models.KEY)["made"]


def test_the_network_beats_nl_means_by_0_4_db():
    for of_sigma in RECORD["levels"].values():
        assert list(of_sigma) == ["15", "25", "50"]
        for measured in of_sigma.values():
            assert measured["network"]["psnr"] > measured["NL-means"]["psnr"] + 0.4


def test_a_figure_is_measured_again():
    """The network at noise 25 on the camera, as it is now."""
    images = denoised(models.load(), "camera", SIGMA, {})
    again = quality(images)["network"]
    assert again["psnr"] == pytest.approx(
        RECORD["levels"]["camera"]["25"]["network"]["psnr"], abs=0.01
    )


@pytest.mark.parametrize("kind", tool.KINDS)
def test_a_kind_of_noise_is_as_strong_as_was_measured(kind):
    clean = photograph("camera")
    error = tool.noisy_version(clean, tool.KINDS[kind]) - clean
    rms = 255 * np.sqrt(np.mean(error**2))
    assert rms == pytest.approx(RECORD["kinds"]["camera"][kind]["rms"], rel=1e-3, abs=1e-6)
