"""Owns picture distance: PSNR and SSIM over luma, as a sampled decoded frame is judged."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

Luma = npt.NDArray[np.uint8]

PSNR_CAP_DB = 100.0
_C1 = (0.01 * 255) ** 2
_C2 = (0.03 * 255) ** 2


def psnr(reference_luma: Luma, luma: Luma) -> float:
    """Peak signal to noise in dB; equal pictures give `PSNR_CAP_DB`, which JSON can carry."""
    _check(reference_luma, luma)
    distance = float(cv2.norm(reference_luma, luma, cv2.NORM_L2SQR))
    if distance == 0:
        return PSNR_CAP_DB
    mean = distance / reference_luma.size
    return min(10 * math.log10(255 * 255 / mean), PSNR_CAP_DB)


def ssim(reference_luma: Luma, luma: Luma) -> float:
    """Mean structural similarity, 1 for equal pictures.

    Wang, Bovik, Sheikh, Simoncelli (2004): 11 x 11 Gaussian window, sigma 1.5, K = 0.01, 0.03.
    """
    _check(reference_luma, luma)
    a, b = reference_luma.astype(np.float32), luma.astype(np.float32)
    mean_a, mean_b = _window(a), _window(b)
    square_a, square_b, product = mean_a * mean_a, mean_b * mean_b, mean_a * mean_b
    variance_a = _window(a * a) - square_a
    variance_b = _window(b * b) - square_b
    covariance = _window(a * b) - product
    top = (2 * product + _C1) * (2 * covariance + _C2)
    bottom = (square_a + square_b + _C1) * (variance_a + variance_b + _C2)
    return float(np.mean(top / bottom))


def _window(image: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return np.asarray(cv2.GaussianBlur(image, (11, 11), 1.5), dtype=np.float32)


def _check(a: Luma, b: Luma) -> None:
    if a.shape != b.shape or a.ndim != 2:
        raise ValueError(f"luma of {a.shape} cannot be compared with {b.shape}")
