"""MNIST and Fashion-MNIST, fetched when they are first asked for, checked byte for byte, and kept.

They are no part of tinydeconv, and its authors have not fetched them: addresses, sizes and SHA-256
are what others have published. The last two are those of TensorFlow Datasets
(https://github.com/tensorflow/datasets), tensorflow_datasets/url_checksums/mnist.txt at 31f1255e57
and fashion_mnist.txt at 333639b37a.
"""

import contextlib
import gzip
import hashlib
import http.client
import io
import math
import os
import re
import struct
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
import warnings
import zlib
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ..serialize import write_atomically

COUNTS = {"train": 60_000, "t10k": 10_000}
MNIST = {  # bytes and SHA-256 of each file
    "train-images": (9912422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
    "train-labels": (28881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
    "t10k-images": (1648877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
    "t10k-labels": (4542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
}
FASHION_MNIST = {
    "train-images": (26421880, "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"),
    "train-labels": (29515, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
    "t10k-images": (4422102, "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
    "t10k-labels": (5148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
}
SOURCES = {
    "mnist": ("https://storage.googleapis.com/cvdf-datasets/mnist/", MNIST),
    # the bucket of its authors, whose website has plain http alone
    "fashion_mnist": ("https://fashion-mnist.s3.eu-central-1.amazonaws.com/", FASHION_MNIST),
}

TIMEOUT = 30  # seconds of silence
PAUSES = (1, 4, 16)  # seconds before each new attempt
PASSING = {408, 425, 429, 500, 502, 503, 504}  # answers that may be others in a while


def mnist(train=True, root=None):
    """Handwritten digits (LeCun, Cortes and Burges): uint8 (n, 1, 28, 28), int64 labels (n,).

    n is 60000 in training and 10000 else; ink is bright on black, 0 to 255. The files, 12 MB, are
    fetched once and kept below the folder `root`; without it below that of the environment variable
    TINYDECONV_DATA, else the user's cache folder. Raises OSError for a network or a folder that
    does not serve, ValueError for files that are not those that were published, one sentence each.
    """
    return _arrays("mnist", train, root)


def fashion_mnist(train=True, root=None):
    """Clothes in ten classes (Xiao, Rasul and Vollgraf, arXiv:1708.07747), 31 MB; else as mnist."""
    return _arrays("fashion_mnist", train, root)


def _arrays(source, train, root):
    base, files = SOURCES[source]
    part = "train" if train else "t10k"
    arrays = []
    for kind, sides in (("images", (28, 28)), ("labels", ())):
        shape = (COUNTS[part], *sides)
        name = f"{part}-{kind}-idx{len(shape)}-ubyte.gz"
        folder = cache_folder(root) / source
        arrays.append(fetch(base, name, shape, folder, *files[f"{part}-{kind}"]))
    images, labels = arrays
    return images[:, None], labels.astype(np.int64)


def cache_folder(root=None):
    """Where files that were fetched are kept: `root`, TINYDECONV_DATA or the user's cache."""
    if chosen := root or os.environ.get("TINYDECONV_DATA"):
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "tinydeconv"


def fetch(base, name, shape, folder, size, sha256):
    """The array in the IDX file `name` below the URL `base`; `folder` keeps the file from then on.

    Nothing is kept, or believed, that has not this size, this SHA-256 and this shape. Any number
    of processes may ask at once: the file appears whole or not at all.
    """
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise ValueError(
            f"expected the name of a file, got {name!r}, which may lead out of {folder}"
        )
    url, path = base + name, Path(folder) / name
    if path.is_file():
        data = path.read_bytes() if path.stat().st_size == size else b""
        if hashlib.sha256(data).hexdigest() == sha256:
            return read_idx(data, shape, path)
        warnings.warn(f"{path} is not the published file: fetching it again", stacklevel=4)
    with _keeping(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if not os.access(path.parent, os.W_OK):  # known before the wait for the network
            raise PermissionError("no permission to write there")
    data = _download(url, size)
    if (found := hashlib.sha256(data).hexdigest()) != sha256:
        raise ValueError(f"{url} is not the published file: its SHA-256 is {found}, not {sha256}")
    array = read_idx(data, shape, url)
    # Written in a folder of one's own: another process may be writing the same file.
    with _keeping(path), tempfile.TemporaryDirectory(prefix=f".{name}.", dir=path.parent) as own:
        write_atomically(Path(own, name), data)
        os.replace(Path(own, name), path)
    return array


@contextlib.contextmanager
def _keeping(path):
    try:
        yield
    except OSError as error:
        why = error.strerror or error
        raise OSError(f"cannot keep {path}: {why}; TINYDECONV_DATA names another folder") from None


def _download(url, size):
    """The bytes at the URL, `size` of them, after as many attempts as PAUSES allows."""
    for pause in (0, *PAUSES):
        time.sleep(pause)
        try:
            data = _attempt(url, size)
        except urllib.error.HTTPError as error:
            problem = f"the server answers {error.code}, {error.reason}"
            if error.code not in PASSING:
                break
        except (OSError, http.client.HTTPException) as error:
            problem = f"{getattr(error, 'reason', error)}"
        else:
            if len(data) == size:
                return data
            problem = f"the connection ended after {len(data)} of {size} bytes"
    raise OSError(f"cannot fetch {url}: {problem}")


def _attempt(url, size):
    """What comes from the URL before the connection ends; never more than `size` bytes."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme != "https" and (parts.scheme, parts.hostname) != ("http", "127.0.0.1"):
        raise ValueError(f"expected https, or http from this machine's 127.0.0.1, got {url}")
    data = bytearray()
    with urllib.request.build_opener(_OnlyToHttps).open(url, timeout=TIMEOUT) as response:
        length = response.headers.get("Content-Length", str(size))
        if length != str(size):
            raise ValueError(f"expected {size} bytes at {url}, the server has {length}")
        with tqdm(desc=Path(parts.path).name, total=size, unit="B", unit_scale=True) as bar:
            while chunk := response.read(min(1 << 14, size + 1 - len(data))):
                data += chunk
                bar.update(len(chunk))
    if len(data) > size:
        raise ValueError(f"expected {size} bytes at {url}, the server sends more")
    return bytes(data)


class _OnlyToHttps(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req, fp, code, msg, headers, newurl):
        if urllib.parse.urlsplit(newurl).scheme != "https":
            raise ValueError(f"expected https, {req.full_url} leads to {newurl}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def read_idx(data, shape, name):
    """The uint8 array of this shape in the bytes of a gzipped IDX file.

    IDX (http://yann.lecun.com/exdb/mnist/) is two zero bytes, 8 for unsigned bytes, the number of
    axes, their lengths as big-endian integers of 32 bits, and the numbers. No more is unpacked
    than the shape needs, whatever the file says. A ValueError calls it `name`.
    """
    header = struct.pack(f">4B{len(shape)}I", 0, 0, 8, len(shape), *shape)
    count = math.prod(shape)
    if data[3:4] and data[3] & 0x08 and not data[3] & 0x04:  # gzip: it tells a name to unpack to
        told = data[10:].partition(b"\0")[0]  # which is of no use here
        if b"/" in told or b"\\" in told:
            raise ValueError(
                f"{name} wants to be unpacked elsewhere, as {told.decode('latin-1')!r}"
            )
    try:
        with gzip.open(io.BytesIO(data)) as file:
            found = file.read(len(header) + count + 1)
    except (EOFError, OSError, zlib.error) as error:
        raise ValueError(f"{name} is no whole gzip file: {error}") from None
    if not found.startswith(header):
        start = found[: len(header)].hex(" ", 4)
        raise ValueError(f"{name} is no IDX file of bytes of shape {shape}: it begins with {start}")
    if len(found) != len(header) + count:
        cut = "fewer" if len(found) < len(header) + count else "more"
        raise ValueError(f"{name} promises {count} bytes, of shape {shape}, and has {cut}")
    return np.frombuffer(found, np.uint8, offset=len(header)).reshape(shape).copy()
