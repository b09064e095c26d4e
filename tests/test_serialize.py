"""Weights on disk: what comes back, what is refused, and that a file is whole or not there."""

import io
import json
import os
import pickle
import struct
import zipfile

import numpy as np
import pytest
from refusals import refused

import tinydeconv as td
from tinydeconv import nn, serialize
from tinydeconv.serialize import write_atomically

DTYPES = ["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64"]


def same(mine, other):
    assert (mine.shape, mine.dtype) == (other.shape, other.dtype)
    np.testing.assert_array_equal(mine.data, other.data)


# ---------------------------------------------------------------- round trips


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_comes_back(tmp_path, dtype):
    x = td.tensor(np.arange(-6, 6).reshape(3, 4).astype(dtype))
    td.save({"x": x, "number": x[1, 2], "nothing": x[:0]}, tmp_path / "w.safetensors")
    found = td.load(tmp_path / "w.safetensors")
    assert found.keys() == {"x", "number", "nothing"}
    same(found["x"], x)
    same(found["number"], x[1, 2])
    same(found["nothing"], x[:0])


def test_special_numbers_come_back(tmp_path):
    x = td.tensor(np.array([np.inf, -np.inf, np.nan, -0.0, 5e-324]))
    td.save({"x": x}, tmp_path / "w")
    found = td.load(tmp_path / "w")["x"]
    assert found.data.tobytes() == x.data.tobytes()


@pytest.mark.parametrize(
    "view",
    [
        np.asfortranarray,
        lambda a: a.T,
        lambda a: a[::2, 1:],
        lambda a: a[::-1],
        lambda a: np.broadcast_to(a[0], (3, 4)),
        lambda a: a[:, None, :, None],
        lambda a: a.astype(">f8"),
    ],
)
def test_memory_layout_does_not_matter(tmp_path, view):
    array = view(np.arange(12.0).reshape(3, 4))
    td.save({"x": td.tensor(array.astype(float)), "array": array}, tmp_path / "w")
    for found in td.load(tmp_path / "w").values():
        np.testing.assert_array_equal(found.data, array)


def test_what_is_loaded_is_a_plain_tensor(tmp_path):
    layer = nn.Linear(2, 3)
    td.save(dict(layer.named_parameters()), tmp_path / "w")
    found = td.load(tmp_path / "w")
    assert all(type(x) is td.Tensor and not x.requires_grad for x in found.values())
    found["weight"].data[:] = 1  # its own memory, not the file's
    assert not (td.load(tmp_path / "w")["weight"].data == 1).any()


def test_a_network_comes_back(tmp_path):
    first, second = (
        nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ConvTranspose2d(2, 1, 3))
        for _ in "ab"
    )
    first(td.randn(2, 1, 5, 5))
    td.save(first.state_dict(), tmp_path / "网络 weights.safetensors")
    second.load_state_dict(td.load(tmp_path / "网络 weights.safetensors"))
    for name, value in first.state_dict().items():
        same(second.state_dict()[name], value)
    assert second[1].num_batches_tracked.shape == ()


def test_metadata(tmp_path):
    told = {"epoch": "3", "名": "é\n", "config": json.dumps({"width": 8})}
    td.save({"x": td.ones(2)}, tmp_path / "w", metadata=told)
    assert td.load_metadata(tmp_path / "w") == told
    td.save({"x": td.ones(2)}, str(tmp_path / "w"))
    assert td.load_metadata(str(tmp_path / "w")) == {}
    td.save({}, tmp_path / "empty")
    assert td.load(tmp_path / "empty") == {}


# ---------------------------------------------------------------- files that cannot be read


def whole(path):
    td.save({"weight": td.randn(8, 9)}, path)
    return path.read_bytes()


@pytest.mark.parametrize("keep", [0, 1, 7, 8, 40, -1])
def test_a_file_cut_short(tmp_path, keep):
    path = tmp_path / "cut.safetensors"
    path.write_bytes(whole(path)[:keep])
    for read in (td.load, td.load_metadata):
        with refused(ValueError, path, "cut short", "safetensors"):
            read(path)


@pytest.mark.parametrize(
    "content",
    [
        b"\x89PNG\r\n\x1a\n" + bytes(100),
        "just text, 文字\n".encode() * 9,
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 0x280) + b"{" + bytes(99),  # begins with two bytes of a pickle
        struct.pack("<Q", 2**60) + b"{}",
        struct.pack("<Q", 60)
        + b'{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,800]}}'.ljust(60),
    ],
)
def test_a_file_of_another_kind(tmp_path, content):
    path = tmp_path / "other"
    path.write_bytes(content)
    with refused(ValueError, path, "another format"):
        td.load(path)


class Trap:
    """Leaves a mark when it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (self.mark,)


def zipped(data):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("weights/data.pkl", data)
    return file.getvalue()


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("name", ["net.pth", "net.pt", "net", "net.bin", "a net.safetensors"])
@pytest.mark.parametrize("pack", [zipped, bytes], ids=["zip", "plain"])  # PyTorch since 1.6; before
def test_a_pickle_is_not_read_but_told_how_to_convert(tmp_path, name, protocol, pack):
    path, mark = tmp_path / name, tmp_path / "mark"
    path.write_bytes(pack(pickle.dumps(Trap(str(mark)), protocol)))
    for read in (td.load, td.load_metadata):
        with refused(ValueError, path, "pickle", "torch.load", "weights_only=True"):
            read(path)
        with refused(ValueError, "safetensors.torch.save_file", path.with_suffix(".safetensors")):
            read(path)
    assert not mark.exists()


@pytest.mark.parametrize("suffix", ["pth", "pt", "ckpt", "pkl", "pickle"])
def test_a_broken_pickle_is_known_by_its_name(tmp_path, suffix):
    path = tmp_path / f"net.{suffix}"
    path.write_bytes(b"")
    with refused(ValueError, path, "pickle", "torch.load"):
        td.load(path)
    with refused(FileNotFoundError, tmp_path / f"other.{suffix}"):
        td.load(tmp_path / f"other.{suffix}")
    td.save({"x": td.ones(2)}, path)  # a name alone does no harm
    assert td.load(path)["x"].tolist() == [1, 1]


def test_what_is_told_about_files_of_numpy_works(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("weights.npz", w=np.arange(3.0), b=np.float32(1))
    with refused(ValueError, "weights.npz", "NumPy", "np.load"):
        td.load("weights.npz")
    with pytest.raises(ValueError) as caught:
        td.load("weights.npz")
    exec(str(caught.value).partition("convert it with ")[2], {"td": td, "np": np})
    found = td.load("weights.safetensors")
    assert found["w"].tolist() == [0, 1, 2] and found["b"].shape == ()


@pytest.mark.parametrize(
    ("code", "name"),
    [("BF16", "bfloat16"), ("F8_E4M3", "float8_e4m3fn"), ("F4", "float4"), ("C64", "complex64")],
)
def test_numbers_that_no_tensor_holds(tmp_path, code, name):
    path, size = tmp_path / "half", {"BF16": 4, "F8_E4M3": 2, "F4": 1, "C64": 16}[code]
    entry = {"dtype": code, "shape": [2], "data_offsets": [0, size]}
    header = json.dumps({"x": entry}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(size))
    with refused(ValueError, path, "convert"):
        td.load(path)
    with pytest.raises(ValueError, match=name):
        td.load(path)


def test_a_missing_file(tmp_path):
    with refused(FileNotFoundError, tmp_path / "missing.safetensors"):
        td.load(tmp_path / "missing.safetensors")


def test_a_folder(tmp_path):
    with refused(IsADirectoryError, tmp_path, "folder"):
        td.load(tmp_path)
    (tmp_path / "folder").mkdir()
    with refused(IsADirectoryError, tmp_path / "folder", "file"):
        td.save({"x": td.ones(2)}, tmp_path / "folder")
    assert os.listdir(tmp_path) == ["folder"]


def test_weights_of_another_network(tmp_path):
    td.save(nn.Linear(2, 3).state_dict(), tmp_path / "w")
    with refused(RuntimeError, "weight", "(4, 2)", "(3, 2)"):
        nn.Linear(2, 4).load_state_dict(td.load(tmp_path / "w"))


# ---------------------------------------------------------------- written whole or not at all


def test_an_old_file_is_replaced(tmp_path):
    td.save({"x": td.ones(2)}, tmp_path / "w")
    td.save({"y": td.zeros(3)}, tmp_path / "w")
    assert td.load(tmp_path / "w")["y"].tolist() == [0, 0, 0]
    assert os.listdir(tmp_path) == ["w"]


@pytest.mark.parametrize("broken", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_write_that_fails_leaves_the_old_file_alone(tmp_path, monkeypatch, broken, error):
    path = tmp_path / "w"
    before = whole(path)

    def fail(*_):
        assert len(os.listdir(tmp_path)) == 2  # the temporary file stands beside the old one
        raise error

    monkeypatch.setattr(os, broken, fail)
    if isinstance(error, OSError):
        with refused(OSError, path, "No space left on device"):
            td.save({"x": td.ones(1000)}, path)
    else:
        with pytest.raises(KeyboardInterrupt):
            td.save({"x": td.ones(1000)}, path)
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["w"]


def test_numbers_that_cannot_be_saved_touch_no_file(tmp_path):
    path = tmp_path / "w"
    before = whole(path)
    with pytest.raises(Exception, match="complex"):
        td.save({"x": td.ones(2), "z": np.ones(2, np.complex128)}, path)
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["w"]


def test_a_missing_folder(tmp_path):
    with refused(FileNotFoundError, tmp_path / "no" / "such"):
        td.save({"x": td.ones(2)}, tmp_path / "no" / "such" / "w")
    assert os.listdir(tmp_path) == []


def test_a_folder_that_cannot_be_written_to(tmp_path, monkeypatch):
    """By a stand-in, because root may write everywhere."""

    def refuse(*_):
        raise PermissionError(13, "Permission denied", "name.tmp")

    monkeypatch.setattr(serialize, "open", refuse, raising=False)
    with refused(OSError, tmp_path / "w", "Permission denied"):
        td.save({"x": td.ones(2)}, tmp_path / "w")
    assert os.listdir(tmp_path) == []


def test_a_link_stays_and_what_it_points_to_is_replaced(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "w").write_bytes(b"old")
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "w")
    td.save({"x": td.ones(2)}, tmp_path / "link")
    assert (tmp_path / "link").is_symlink() and not (tmp_path / "disk" / "w").is_symlink()
    assert td.load(tmp_path / "disk" / "w")["x"].tolist() == [1, 1]
    assert os.listdir(tmp_path / "disk") == ["w"]


def test_a_file_in_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    td.save({"x": td.ones(2)}, "w")
    assert td.load("w")["x"].tolist() == [1, 1]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_a_file_has_the_permissions_of_any_other(tmp_path):
    """Temporary files are private; what is renamed to its place must not be."""
    write_atomically(tmp_path / "ours", b"x")
    (tmp_path / "plain").write_bytes(b"x")
    modes = {os.stat(tmp_path / name).st_mode for name in ("ours", "plain")}
    assert len(modes) == 1


def test_what_is_no_state_dict(tmp_path):
    with refused(TypeError, "Linear", "model.state_dict()"):
        td.save(nn.Linear(1, 1), tmp_path / "w")
    with refused(TypeError, "'step'", "int", "metadata"):
        td.save({"x": td.ones(1), "step": 3}, tmp_path / "w")
    for name in (3, "__metadata__"):  # the second is the format's own: the file could not be read
        with refused(TypeError, repr(name), "no name"):
            td.save({name: td.ones(1)}, tmp_path / "w")
    for metadata in ({"step": 3}, {3: "step"}, "step"):
        with refused(TypeError, "metadata", "str: str", metadata):
            td.save({"x": td.ones(1)}, tmp_path / "w", metadata)
    assert os.listdir(tmp_path) == []
