"""MNIST and Fashion-MNIST from a server of our own, which is good, slow, broken or lying.

The real files are never fetched here.
"""

import gzip
import hashlib
import http.server
import os
import re
import shutil
import signal
import ssl
import struct
import subprocess
import sys
import threading
import time
import tracemalloc
import zlib
from types import SimpleNamespace

import numpy as np
import pytest
from refusals import refused

from tinydeconv.data import download, fashion_mnist, mnist

rng = np.random.default_rng(0)
COUNTS = {"train": 40, "t10k": 10}


def idx(array, shape=None, kind=8):
    """The bytes of an IDX file, which may claim another shape and type than it has."""
    shape = array.shape if shape is None else shape
    header = bytes([0, 0, kind, len(shape)]) + b"".join(struct.pack(">I", n) for n in shape)
    return header + array.tobytes()


ARRAYS = {}
for _part, _count in COUNTS.items():
    ARRAYS[f"{_part}-images"] = rng.integers(256, size=(_count, 28, 28), dtype=np.uint8)
    ARRAYS[f"{_part}-labels"] = rng.integers(10, size=_count, dtype=np.uint8)
FILES = {name: gzip.compress(idx(array), mtime=0) for name, array in ARRAYS.items()}
TABLE = {name: (len(d), hashlib.sha256(d).hexdigest()) for name, d in FILES.items()}
IMAGES = "train-images-idx3-ubyte.gz"
GOOD = FILES["train-images"]
FACTS = ((40, 28, 28), *TABLE["train-images"])  # what fetch is told of it: shape, size, SHA-256


def reply(data, length=None, code=200):
    """An answer; `length` may be a lie, or "" for none."""

    def answer(handler):
        handler.send_response(code)
        if length != "":
            handler.send_header("Content-Length", str(len(data) if length is None else length))
        handler.end_headers()
        handler.wfile.write(data)

    return answer


def redirect(url):
    def answer(handler):
        handler.send_response(302)
        handler.send_header("Location", url)
        handler.end_headers()

    return answer


def drip(handler):
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(GOOD)))
    handler.end_headers()
    for start in range(0, len(GOOD), 1000):
        handler.wfile.write(GOOD[start : start + 1000])
        time.sleep(0.002)


def endless(handler):
    handler.send_response(200)
    handler.end_headers()
    while True:
        handler.wfile.write(GOOD)


class Server(http.server.ThreadingHTTPServer):
    """`asked` has the paths of all requests; `answers` is {file name: a list of answers, the last
    of which is repeated}.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked, self.answers, self.over = [], {}, threading.Event()
        for name, data in FILES.items():
            axes = 3 if name.endswith("images") else 1
            self.answers[f"{name}-idx{axes}-ubyte.gz"] = [reply(data)]
        self.base = f"http://127.0.0.1:{self.server_port}/"

    def handle_error(self, request, client_address):
        pass  # a client that hangs up


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        answers = self.server.answers.get(self.path.rpartition("/")[2], [reply(b"", code=404)])
        (answers.pop(0) if len(answers) > 1 else answers[0])(self)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    """A server that stands in for both sources; `server.pauses` has what was waited."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        server.pauses = []
        monkeypatch.setattr(download, "time", SimpleNamespace(sleep=server.pauses.append))
        monkeypatch.setattr(download, "COUNTS", COUNTS)
        sources = {name: (f"{server.base}{name}/", TABLE) for name in download.SOURCES}
        monkeypatch.setattr(download, "SOURCES", sources)
        yield server
        server.over.set()
        server.shutdown()
        thread.join()


def fetch(server, root, name=IMAGES):
    return download.fetch(server.base, name, FACTS[0], root, *FACTS[1:])


def everything(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


# ---------------------------------------------------------------- a good server


def test_what_was_published_is_written_down():
    for base, files in download.SOURCES.values():
        assert re.fullmatch(r"https://[a-z0-9./-]+/", base)
        assert files.keys() == ARRAYS.keys()
        assert all(0 < size < 30e6 for size, _ in files.values())
        assert all(re.fullmatch("[0-9a-f]{64}", sha256) for _, sha256 in files.values())
    facts = [fact for _, files in download.SOURCES.values() for fact in files.values()]
    assert len(set(facts)) == 8


@pytest.mark.parametrize("source", [mnist, fashion_mnist])
@pytest.mark.parametrize("train", [True, False])
def test_fetched_once(server, tmp_path, source, train):
    part = "train" if train else "t10k"
    for _ in range(2):
        images, labels = source(train, root=tmp_path / "new" / "cache")
        assert (images.dtype, labels.dtype) == (np.uint8, np.int64)
        np.testing.assert_array_equal(images, ARRAYS[f"{part}-images"][:, None])
        np.testing.assert_array_equal(labels, ARRAYS[f"{part}-labels"])
        assert images.flags.writeable
    names = [f"{part}-images-idx3-ubyte.gz", f"{part}-labels-idx1-ubyte.gz"]
    assert server.asked == [f"/{source.__name__}/{name}" for name in names]
    folder = tmp_path / "new" / "cache" / source.__name__
    assert everything(folder) == names
    for name in names:  # for all users, as far as their umask allows
        (folder / "as usual").touch()
        assert (folder / name).stat().st_mode == (folder / "as usual").stat().st_mode


def test_where_it_is_kept(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("TINYDECONV_DATA", raising=False)
    assert download.cache_folder() == tmp_path / ".cache" / "tinydeconv"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert download.cache_folder() == tmp_path / "xdg" / "tinydeconv"
    monkeypatch.setenv("TINYDECONV_DATA", "~/data")
    assert download.cache_folder() == tmp_path / "data"
    assert download.cache_folder(tmp_path / "own") == tmp_path / "own"


def test_a_slow_server(server, tmp_path):
    server.answers[IMAGES] = [drip]
    np.testing.assert_array_equal(fetch(server, tmp_path), ARRAYS["train-images"])


def test_no_length_is_told(server, tmp_path):
    server.answers[IMAGES] = [reply(GOOD, length="")]
    np.testing.assert_array_equal(fetch(server, tmp_path), ARRAYS["train-images"])


# ---------------------------------------------------------------- what passes, and what does not


@pytest.mark.parametrize(
    "trouble",
    [
        reply(b"", code=503),
        reply(b"", code=429),
        reply(GOOD[:-1], length=len(GOOD)),
        reply(GOOD[:5000], length=""),
        lambda handler: handler.wfile.write(b"no HTTP\r\n\r\n"),
        lambda handler: None,
    ],
    ids=["503", "429", "cut", "cut, no length", "nonsense", "hung up"],
)
def test_trouble_that_passes(server, tmp_path, trouble):
    server.answers[IMAGES] = [trouble, trouble, reply(GOOD)]
    np.testing.assert_array_equal(fetch(server, tmp_path), ARRAYS["train-images"])
    assert len(server.asked) == 3
    assert everything(tmp_path) == [IMAGES]


def test_pauses_grow_and_end(server, tmp_path):
    server.answers[IMAGES] = [reply(b"", code=503)]
    with refused(OSError, server.base + IMAGES, 503):
        fetch(server, tmp_path)
    first, *others = server.pauses
    assert first == 0 and len(others) == 3
    assert all(2 * a <= b for a, b in zip(others, others[1:]))
    assert everything(tmp_path) == []


def test_cut_every_time(server, tmp_path):
    server.answers[IMAGES] = [reply(GOOD[:5000], length=len(GOOD))]
    with refused(OSError, IMAGES, "ended after", 5000, len(GOOD)):
        fetch(server, tmp_path)
    assert everything(tmp_path) == []


def test_silence(server, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "TIMEOUT", 0.05)
    server.answers[IMAGES] = [lambda handler: server.over.wait(10)]
    with refused(OSError, "timed out"):
        fetch(server, tmp_path)
    assert len(server.asked) == 4
    assert everything(tmp_path) == []


def test_nobody_listens(server, tmp_path):
    server.base = "http://127.0.0.1:1/"
    with refused(OSError, "http://127.0.0.1:1/" + IMAGES, "refused"):
        fetch(server, tmp_path)


FLIPPED = GOOD[:9000] + bytes([GOOD[9000] ^ 1]) + GOOD[9001:]


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (reply(b"", code=404), OSError, ["404", IMAGES]),
        (reply(b"", code=403), OSError, ["403", IMAGES]),
        (reply(FLIPPED), ValueError, ["SHA-256", hashlib.sha256(FLIPPED).hexdigest()]),
        (reply(GOOD[:-1]), ValueError, [len(GOOD), len(GOOD) - 1]),
        (reply(GOOD + b"0"), ValueError, [len(GOOD), len(GOOD) + 1]),
        (reply(b"<html>"), ValueError, [len(GOOD), 6]),
        (endless, ValueError, [len(GOOD), "more"]),
    ],
    ids=["404", "403", "corrupted", "shorter", "longer", "a page", "endless"],
)
def test_another_file_is_refused_at_once(server, tmp_path, answer, kind, words):
    server.answers[IMAGES] = [answer]
    with refused(kind, *words):
        fetch(server, tmp_path)
    assert len(server.asked) == 1
    assert everything(tmp_path) == []


def test_a_lying_file_is_not_kept(server, tmp_path):
    """Not even one that is what was published."""
    lie = gzip.compress(idx(ARRAYS["train-images"], shape=(41, 28, 28)))
    server.answers[IMAGES] = [reply(lie)]
    facts = len(lie), hashlib.sha256(lie).hexdigest()
    with refused(ValueError, IMAGES, 41 * 28 * 28, "fewer"):
        download.fetch(server.base, IMAGES, (41, 28, 28), tmp_path, *facts)
    assert everything(tmp_path) == []


# ---------------------------------------------------------------- what is there already


@pytest.mark.parametrize("wrong", [FLIPPED, GOOD[:-1], GOOD + b"0", b""])
def test_a_wrong_file_is_replaced(server, tmp_path, wrong):
    (tmp_path / "mnist").mkdir()
    kept = tmp_path / "mnist" / IMAGES
    kept.write_bytes(wrong)
    server.answers[IMAGES] = [reply(b"", code=404), reply(GOOD)]
    with pytest.warns(UserWarning, match=re.escape(str(kept))), refused(OSError, 404):
        mnist(root=tmp_path)
    assert kept.read_bytes() == wrong  # nobody has lost it before there is a better one
    with pytest.warns(UserWarning, match="fetching it again") as told:
        images, _ = mnist(root=tmp_path)
    assert told[0].filename == __file__
    np.testing.assert_array_equal(images[:, 0], ARRAYS["train-images"])
    assert kept.read_bytes() == GOOD


@pytest.mark.parametrize("name", ["../x.gz", "/x.gz", "a/b.gz", "..", "a\\b.gz", ".gz", "", "a\n"])
def test_no_name_leads_out_of_the_folder(server, tmp_path, name):
    with pytest.raises(ValueError, match="expected the name of a file"):
        fetch(server, tmp_path / "cache", name)
    assert server.asked == []
    assert everything(tmp_path) == []


# ---------------------------------------------------------------- https


@pytest.mark.parametrize("base", ["http://localhost/", "http://127.0.0.1.x.org/", "file:///", "x/"])
def test_only_https(tmp_path, base):
    with refused(ValueError, "https", base + IMAGES):
        download.fetch(base, IMAGES, FACTS[0], tmp_path, *FACTS[1:])
    assert everything(tmp_path) == []


@pytest.fixture
def secure(server, tmp_path_factory):
    """The server over https, with a certificate that SSL_CERT_FILE has to name."""
    if not shutil.which("openssl"):
        pytest.skip("needs openssl")
    folder = tmp_path_factory.mktemp("certificate")
    subprocess.run(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
        "-subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1 -keyout key.pem -out cert.pem",
        shell=True,
        check=True,
        capture_output=True,
        cwd=folder,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    with Server() as secure:
        secure.socket = context.wrap_socket(secure.socket, server_side=True)
        secure.base = secure.base.replace("http:", "https:")
        secure.certificate = str(folder / "cert.pem")
        thread = threading.Thread(target=secure.serve_forever, args=(0.01,))
        thread.start()
        yield secure
        secure.shutdown()
        thread.join()


def test_https(secure, tmp_path, monkeypatch):
    with refused(OSError, secure.base + IMAGES, "certificate verify failed"):
        fetch(secure, tmp_path)
    assert secure.asked == []
    monkeypatch.setenv("SSL_CERT_FILE", secure.certificate)
    np.testing.assert_array_equal(fetch(secure, tmp_path), ARRAYS["train-images"])


def test_redirects_lead_to_https_alone(server, secure, tmp_path, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", secure.certificate)
    secure.answers[IMAGES] = [redirect(server.base + IMAGES), redirect("/moved.gz")]
    secure.answers["moved.gz"] = [reply(GOOD)]
    with refused(ValueError, secure.base + IMAGES, "leads to", server.base + IMAGES):
        fetch(secure, tmp_path)
    assert server.asked == []
    assert everything(tmp_path) == []
    np.testing.assert_array_equal(fetch(secure, tmp_path), ARRAYS["train-images"])


# ---------------------------------------------------------------- processes

CHILD = """
import hashlib, os, resource, signal, sys, urllib.request
from tinydeconv.data import download
base, root = sys.argv[1:]
download.COUNTS = {"train": 40}
download.SOURCES = {"mnist": (base, %r)}
def read(path):
    urllib.request.build_opener(urllib.request.ProxyHandler({})).open(base + path).read()
%s
images, labels = download.mnist(root=root)
print(hashlib.sha256(images.tobytes()).hexdigest(), labels.sum())
"""


def child(server, root, prelude=""):
    words = [sys.executable, "-c", CHILD % (TABLE, prelude), server.base, root]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([*map(str, words)], encoding="utf-8", **pipes)


ANSWER = (hashlib.sha256(ARRAYS["train-images"]).hexdigest(), str(ARRAYS["train-labels"].sum()))


def test_processes_at_once(server, tmp_path):
    """Both write the same file at the same moment: fsync waits for the other."""
    both = threading.Barrier(2, timeout=20)

    def meet(handler):
        both.wait()
        reply(b"")(handler)

    server.answers["meet"] = [meet]
    prelude = "os.fsync = lambda file: read('meet')"
    children = [child(server, tmp_path, prelude) for _ in range(2)]
    for process in children:
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        assert tuple(out.split()) == ANSWER
    assert server.asked.count(f"/{IMAGES}") == 2
    assert everything(tmp_path / "mnist") == [IMAGES, "train-labels-idx1-ubyte.gz"]


def test_killed_while_it_downloads(server, tmp_path):
    half = threading.Event()

    def stall(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(GOOD)))
        handler.end_headers()
        handler.wfile.write(GOOD[: len(GOOD) // 2])
        half.set()
        server.over.wait(60)

    server.answers[IMAGES] = [stall, reply(GOOD)]
    process = child(server, tmp_path)
    assert half.wait(60)
    process.kill()
    process.communicate()
    assert everything(tmp_path) == ["mnist"]
    images, _ = mnist(root=tmp_path)
    np.testing.assert_array_equal(images[:, 0], ARRAYS["train-images"])


def test_killed_while_it_writes(server, tmp_path):
    process = child(
        server, tmp_path, "os.fsync = lambda file: os.kill(os.getpid(), signal.SIGKILL)"
    )
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert not (tmp_path / "mnist" / IMAGES).exists()
    images, _ = mnist(root=tmp_path)
    np.testing.assert_array_equal(images[:, 0], ARRAYS["train-images"])


@pytest.mark.skipif(sys.platform == "win32", reason="needs setrlimit")
def test_a_full_disk(server, tmp_path):
    """No file may grow beyond 20000 bytes, which the system tells as it tells a full disk."""
    limit = "resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))"
    process = child(server, tmp_path, limit)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    last = err.splitlines()[-1]
    assert last.startswith(f"OSError: cannot keep {tmp_path / 'mnist' / IMAGES}: ")
    assert "File too large" in last and "TINYDECONV_DATA" in last
    assert everything(tmp_path) == ["mnist"]


def test_no_permission(server, tmp_path):
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    (tmp_path / "mnist").mkdir(mode=0o500)
    with refused(OSError, tmp_path / "mnist" / IMAGES, "permission", "TINYDECONV_DATA"):
        mnist(root=tmp_path)
    assert server.asked == []


def test_a_file_in_the_place_of_the_folder(server, tmp_path):
    (tmp_path / "mnist").write_text("mine", encoding="utf-8")
    with refused(OSError, tmp_path / "mnist" / IMAGES, "TINYDECONV_DATA"):
        mnist(root=tmp_path)
    assert server.asked == []
    assert (tmp_path / "mnist").read_text(encoding="utf-8") == "mine"


# ---------------------------------------------------------------- IDX

SMALL = rng.integers(256, size=(3, 4, 5), dtype=np.uint8)
WHOLE = gzip.compress(idx(SMALL))


def named(name):
    """WHOLE with a file name in its gzip header (RFC 1952)."""
    return WHOLE[:3] + b"\x08" + WHOLE[4:10] + name + b"\0" + WHOLE[10:]


@pytest.mark.parametrize("array", [SMALL, SMALL[0], SMALL[0, 0], SMALL[:0]])
def test_idx_of_any_shape(array):
    found = download.read_idx(gzip.compress(idx(array)), array.shape, "x")
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, array)


def test_idx_with_a_plain_name():
    np.testing.assert_array_equal(download.read_idx(named(b"x-idx3"), (3, 4, 5), "x"), SMALL)


LIES = {
    "promises one more": (gzip.compress(idx(SMALL[:2], shape=(3, 4, 5))), "fewer"),
    "one byte fewer": (gzip.compress(idx(SMALL)[:-1]), "fewer"),
    "one byte more": (gzip.compress(idx(SMALL) + b"x"), "more"),
    "another shape": (gzip.compress(idx(SMALL, shape=(3, 5, 4))), "shape"),
    "flat": (gzip.compress(idx(SMALL, shape=(60,))), "shape"),
    "enormous": (gzip.compress(idx(SMALL, shape=(2**32 - 1,) * 3)), "ffffffff"),
    "other numbers": (gzip.compress(idx(SMALL, kind=0x0D)), "00000d03"),
    "another magic": (gzip.compress(b"\x89PNG" + idx(SMALL)[4:]), "89504e47"),
    "a header that ends": (gzip.compress(idx(SMALL)[:9]), "begins"),
    "empty": (gzip.compress(b""), "begins"),
    "no gzip": (idx(SMALL), "gzip"),
    "nothing": (b"", "begins"),
    "cut": (WHOLE[:40], "gzip"),
    "cut at the end": (WHOLE[:-1], "gzip"),
    "corrupted": (WHOLE[:40] + bytes([WHOLE[40] ^ 1]) + WHOLE[41:], "gzip"),
    "another checksum": (WHOLE[:-8] + bytes(8), "gzip"),
    "leads out": (named(b"../../x-idx3"), "'../../x-idx3'"),
    "absolute": (named(b"/tmp/x-idx3"), "'/tmp/x-idx3'"),
    "a drive": (named(b"C:\\x-idx3"), "elsewhere"),
}


@pytest.mark.parametrize("lie", LIES)
def test_an_idx_file_that_lies(lie):
    data, word = LIES[lie]
    with pytest.raises(ValueError, match=re.escape(word)) as told:
        download.read_idx(data, (3, 4, 5), "x.gz")
    assert str(told.value).startswith("x.gz ") and "\n" not in str(told.value)


def test_no_more_is_unpacked_than_the_shape_needs():
    pack = zlib.compressobj(wbits=31)
    pages = [pack.compress(idx(SMALL)), *(pack.compress(bytes(1 << 20)) for _ in range(64))]
    bomb = b"".join([*pages, pack.flush()])
    tracemalloc.start()
    with refused(ValueError, "x.gz", 60, "more"):
        download.read_idx(bomb, (3, 4, 5), "x.gz")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20  # of 64 megabytes
