"""Augmentation, in torchvision's words (torchvision.transforms.v2).

A transform is called with one image, float32 (C, H, W) in [0, 1], and a random generator, which
alone decides what it does. It returns another image and leaves this one as it is.
"""

import io

import numpy as np

from .images import images_extra


def warp(images, matrices, shifts):
    """Bilinear affine warp of (n, C, H, W) about the middle, and then a shift; black comes in.

    matrices: (n, 2, 2), from an output's pixel (y, x), counted from the shifted middle, back to
        the input's, counted from the middle
    shifts: (n, 2), of the middle, in pixels (y, x)
    """
    n, channels, height, width = images.shape
    middle = np.array([height - 1, width - 1])[:, None] / 2
    y, x = np.indices((height, width)).reshape(2, 1, -1) - middle[:, None] - shifts.T[:, :, None]
    # Not a matrix product, whose last bits may depend on how many images there are
    back = (matrices[..., :1] * y[:, None] + matrices[..., 1:] * x[:, None]) + middle
    back = np.clip(back, -1, [[height], [width]])  # beyond the black margin there is nothing new
    corner = np.floor(back)
    y, x = (back - corner).astype(images.dtype).transpose(1, 0, 2)[:, :, None]
    top, left = corner.astype(np.intp).transpose(1, 0, 2) + 1
    padded = np.pad(images, ((0, 0), (0, 0), (1, 2), (1, 2)))
    flat, stride = padded.reshape(n, channels, -1), width + 3
    at = (top * stride + left)[:, None]

    def pixel(down, right):
        return np.take_along_axis(flat, at + (down * stride + right), 2)

    upper = pixel(0, 0) * (1 - x) + pixel(0, 1) * x
    lower = pixel(1, 0) * (1 - x) + pixel(1, 1) * x
    return (upper * (1 - y) + lower * y).reshape(images.shape)


class Transform:
    """What all transforms are: `transform(image, rng)`."""

    def __call__(self, image, rng):
        if image.ndim != 3 or image.dtype.kind != "f":
            raise ValueError(
                f"expected one image of floats, (C, H, W), got {image.dtype} of shape {image.shape}"
            )
        return self._apply(image, rng)

    def _apply(self, image, rng):
        raise NotImplementedError


class Compose(Transform):
    """One transform after the other."""

    def __init__(self, transforms):
        self.transforms = transforms

    def _apply(self, image, rng):
        for transform in self.transforms:
            image = transform(image, rng)
        return image


class RandomHorizontalFlip(Transform):
    """Mirrors left and right, with probability `p`."""

    def __init__(self, p=0.5):
        if not 0 <= p <= 1:
            raise ValueError(f"expected a probability p between 0 and 1, got {p}")
        self.p = p

    def _apply(self, image, rng):
        return image[:, :, ::-1] if rng.random() < self.p else image


class RandomCrop(Transform):
    """Any part of `size` x `size` pixels, after `padding` black pixels came to every side."""

    def __init__(self, size, padding=0):
        if size < 1 or padding < 0:
            raise ValueError(
                f"expected a size from 1 and a padding from 0 on, got {size} and {padding}"
            )
        self.size, self.padding = size, padding

    def _apply(self, image, rng):
        image = np.pad(image, ((0, 0), *[(self.padding, self.padding)] * 2))
        height, width = image.shape[1:]
        if self.size > min(height, width):
            raise ValueError(
                f"expected crops of at most {min(height, width)} pixels a side from images of "
                f"{height} x {width} with their padding, got {self.size}"
            )
        top, left = (rng.integers(side - self.size + 1) for side in (height, width))
        return image[:, top : top + self.size, left : left + self.size]


class RandomAffine(Transform):
    """Turned, shifted, scaled and sheared about the middle, bilinear; black comes in.

    degrees, shear: the most of each in degrees, either way, or (low, high); turned clockwise
    translate: (across, down), the most, either way, as parts of the width and the height
    scale: (low, high)

    PyTorch's shifts are whole pixels, these are not.
    """

    def __init__(self, degrees, translate=(0, 0), scale=(1, 1), shear=0):
        if not 0 < scale[0] <= scale[1]:
            raise ValueError(f"expected a scale of (low, high) above 0, got {scale}")
        self.degrees, self.shear = _either_way(degrees), _either_way(shear)
        self.translate, self.scale = translate, scale

    def _apply(self, image, rng):
        angle, shear = np.deg2rad([rng.uniform(*self.degrees), rng.uniform(*self.shear)])
        back = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]  # of (y, x)
        back = np.array([[1, 0], [np.tan(shear), 1]]) @ back / rng.uniform(*self.scale)
        most = np.multiply(image.shape[1:], self.translate[::-1])
        return warp(image[None], back[None], rng.uniform(-most, most)[None])[0]


class GaussianNoise(Transform):
    """Adds noise of this mean and standard deviation to each pixel, and clips to [0, 1]."""

    def __init__(self, mean=0.0, sigma=0.1, clip=True):
        if not sigma >= 0:
            raise ValueError(f"expected a sigma of 0 or more, got {sigma}")
        self.mean, self.sigma, self.clip = mean, sigma, clip

    def _apply(self, image, rng):
        noise = self.mean + self.sigma * rng.standard_normal(image.shape)
        noisy = image + noise.astype(image.dtype)
        return np.clip(noisy, 0, 1) if self.clip else noisy


class GaussianBlur(Transform):
    """Blurs with a Gaussian, cut off at `kernel_size` pixels; at the edges the image is mirrored.

    sigma: its standard deviation in pixels, or (low, high)
    """

    def __init__(self, kernel_size, sigma=(0.1, 2.0)):
        self.sigma = sigma if isinstance(sigma, (tuple, list)) else (sigma, sigma)
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(f"expected an odd kernel_size, got {kernel_size}")
        if not 0 < self.sigma[0] <= self.sigma[1]:
            raise ValueError(f"expected a sigma above 0, or (low, high), got {sigma}")
        self.kernel_size = kernel_size

    def _apply(self, image, rng):
        radius = self.kernel_size // 2
        kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / rng.uniform(*self.sigma)) ** 2)
        kernel = (kernel / kernel.sum()).astype(image.dtype)
        image = np.pad(image, ((0, 0), (radius, radius), (radius, radius)), "reflect")
        for axis in (1, 2):
            image = np.lib.stride_tricks.sliding_window_view(image, len(kernel), axis) @ kernel
        return image


class JPEG(Transform):
    """What a JPEG file makes of the image; quality: 1 to 100, or (low, high) to draw it from."""

    def __init__(self, quality):
        self.quality = quality if isinstance(quality, (tuple, list)) else (quality, quality)
        if not 1 <= self.quality[0] <= self.quality[1] <= 100:
            raise ValueError(f"expected a quality from 1 to 100, or (low, high), got {quality}")

    def _apply(self, image, rng):
        Image = images_extra("PIL.Image")
        if len(image) not in (1, 3):
            raise ValueError(f"expected an image of 1 or 3 channels for JPEG, got {len(image)}")
        pixels = np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)
        pixels = pixels[:, :, 0] if len(image) == 1 else pixels
        low, high = self.quality
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=int(rng.integers(low, high + 1)))
        pixels = np.asarray(Image.open(file), image.dtype).reshape(*image.shape[1:], len(image))
        return np.ascontiguousarray(pixels.transpose(2, 0, 1) / 255)


def _either_way(most):
    """(-most, most), unless it is (low, high) already."""
    return most if isinstance(most, (tuple, list)) else (-most, most)
