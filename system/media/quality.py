"""Owns picture distance: PSNR and SSIM over luma, as a sampled decoded frame is judged."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

Luma = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

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
    product = a * b
    a *= a
    b *= b
    a += b
    squares, product = _window(a), _window(product)
    means = mean_a * mean_b
    mean_a *= mean_a
    mean_b *= mean_b
    mean_a += mean_b
    squares -= mean_a  # the sum of the variances
    product -= means  # the covariance
    top = (2 * means + _C1) * (2 * product + _C2)
    bottom = (mean_a + _C1) * (squares + _C2)
    # Sums of squares are in single precision: equal pictures may come out above 1.
    return min(1.0, float(np.mean(top / bottom)))


def _window(image: Floats) -> Floats:
    return np.asarray(cv2.GaussianBlur(image, (11, 11), 1.5), dtype=np.float32)


def _check(a: Luma, b: Luma) -> None:
    if a.shape != b.shape or a.ndim != 2:
        raise ValueError(f"luma of {a.shape} cannot be compared with {b.shape}")
