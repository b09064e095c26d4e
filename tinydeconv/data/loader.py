"""Batches, made ahead of their use, whose randomness is keyed by (seed, epoch, index).

A data set is anything with `batch(epoch, indices)`, a tuple of arrays with an image a row, which
gives image (epoch, index) the same bits whatever was drawn before it. So a training that goes on
in the middle of an epoch sees what an uninterrupted one sees, and a thread may work ahead.
"""

from collections import deque
from concurrent.futures import ThreadPoolExecutor

import numpy as np


class Images:
    """A data set of images in memory, shuffled anew each epoch, with or without labels.

    images, labels: (n, C, H, W), and (n, ...)
    transform: transform(image, rng) of one image, float32 (C, H, W) in [0, 1]; the generator is
        keyed by (seed, epoch, index). Of images in uint8 it gets what they are in [0, 1], and its
        result becomes uint8 again.
    """

    def __init__(self, images, labels=None, seed=0, transform=None):
        if len(images) == 0:
            raise ValueError("expected images, got none")
        if labels is not None and len(labels) != len(images):
            raise ValueError(f"expected {len(images)} labels, one an image, got {len(labels)}")
        self.images, self.seed, self.transform = np.asarray(images), seed, transform
        self.labels = None if labels is None else np.asarray(labels)

    def __len__(self):
        return len(self.images)

    def batch(self, epoch, indices):
        """(images,) or (images, labels): those at these places of the epoch's order."""
        # No image has the index len(self), so its key is free for the order
        order = np.random.default_rng([self.seed, epoch, len(self)]).permutation(len(self))
        chosen = order[list(indices)]
        images = self.images[chosen]
        if self.transform:
            images = np.stack([self._transformed(epoch, *pair) for pair in zip(indices, images)])
        return (images,) if self.labels is None else (images, self.labels[chosen])

    def _transformed(self, epoch, index, image):
        rng = np.random.default_rng([self.seed, epoch, index])
        if image.dtype != np.uint8:
            return self.transform(image, rng)
        image = self.transform(image / np.float32(255), rng)
        return np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)


class Loader:
    """Batches of `data`; an epoch has `length` of them and may be entered at any.

    length: without it an epoch is as many full batches as `data` has
    prefetch: how many batches a thread makes ahead while one is used; it changes no bit
    """

    def __init__(self, data, batch_size, length=None, prefetch=2):
        images = len(data) if hasattr(data, "__len__") else None
        if images is None and length is None:
            raise ValueError(f"expected a length, since {type(data).__name__} has no end, got None")
        if batch_size < 1 or images is not None and batch_size > images:
            most = "" if images is None else f", and at most the {images} images of the data"
            raise ValueError(f"expected a batch_size of at least 1{most}, got {batch_size}")
        whole = None if images is None else images // batch_size
        length = whole if length is None else length
        if length < 1 or whole is not None and length > whole:
            most = "" if whole is None else f", and at most the {whole} whole batches of the data"
            raise ValueError(f"expected a length of at least 1{most}, got {length}")
        if prefetch < 0:
            raise ValueError(f"expected a prefetch of at least 0, got {prefetch}")
        self.data, self.batch_size = data, batch_size
        self.length, self.prefetch = length, prefetch

    def __len__(self):
        return self.length

    def batches(self, epoch, start=0):
        """Yield data.batch(epoch, indices) of each batch, from batch `start` on."""
        if not self.prefetch:
            yield from (self._batch(epoch, number) for number in range(start, self.length))
            return
        pool = ThreadPoolExecutor(1, "prefetch")
        try:
            ahead: deque = deque()
            for number in range(start, self.length):
                ahead.append(pool.submit(self._batch, epoch, number))
                if len(ahead) > self.prefetch:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:  # also when the reader stops early
            pool.shutdown(cancel_futures=True)

    def _batch(self, epoch, number):
        first = number * self.batch_size
        return self.data.batch(epoch, range(first, first + self.batch_size))
