"""Networks."""

from .denoiser import Denoiser

__all__ = ["Denoiser"]
