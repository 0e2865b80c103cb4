from __future__ import annotations

import numpy as np
import pytest

from system.media.quality import PSNR_CAP_DB, psnr, ssim


@pytest.fixture
def picture() -> np.ndarray:
    rng = np.random.default_rng(7)
    base = np.add.outer(np.arange(90), np.arange(160)).astype(np.float64)
    return np.clip(base + rng.normal(0, 10, base.shape), 0, 255).astype(np.uint8)


def test_equal_pictures_have_the_highest_marks(picture):
    assert psnr(picture, picture) == PSNR_CAP_DB
    assert ssim(picture, picture) == pytest.approx(1.0)


def test_psnr_of_a_shift_by_one_is_known(picture):
    darker = np.minimum(picture, 254)
    assert psnr(darker, darker + 1) == pytest.approx(48.13, abs=0.01)


def test_more_noise_gives_lower_marks(picture):
    rng = np.random.default_rng(8)
    noisy = [
        np.clip(picture + rng.normal(0, sigma, picture.shape), 0, 255).astype(np.uint8)
        for sigma in (2, 8, 32)
    ]
    for measure in (psnr, ssim):
        marks = [measure(picture, other) for other in noisy]
        assert marks == sorted(marks, reverse=True)
        assert marks[0] > marks[2]


def test_ssim_ignores_what_psnr_punishes(picture):
    """The point of SSIM: equal error, unequal structure."""
    brighter = np.clip(picture.astype(int) + 10, 0, 255).astype(np.uint8)
    rng = np.random.default_rng(9)
    noise = np.where(rng.random(picture.shape) < 0.5, -10, 10)
    noisy = np.clip(picture + noise, 0, 255).astype(np.uint8)
    assert psnr(picture, brighter) == pytest.approx(psnr(picture, noisy), abs=0.5)
    assert ssim(picture, brighter) > ssim(picture, noisy)


def test_pictures_of_different_sizes_cannot_be_compared(picture):
    for measure in (psnr, ssim):
        with pytest.raises(ValueError, match="compared"):
            measure(picture, picture[:-1])
