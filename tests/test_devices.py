"""Devices: moving between them, the GPU's memory and precision, and what is said when none works.

On the stand-in for CuPy by default, on a GPU with `pytest --device cuda`.
"""

import ctypes
import sys
from dataclasses import replace
from itertools import islice
from types import SimpleNamespace

import numpy as np
import pytest
from refusals import refused

import tinydeconv as td
from tinydeconv import bench, cuda, cudasim, info, models, nn, optim
from tinydeconv.backend import array_module, import_cupy, to_numpy
from tinydeconv.cli import main
from tinydeconv.nn import functional as F
from tinydeconv.opcases import CASES, Case
from tinydeconv.ops.promotion import To
from tinydeconv.recipes import common
from tinydeconv.recipes import denoise as recipe
from tinydeconv.recipes.denoise import Settings

CPU, GPU = td.device("cpu"), td.device("cuda")


@pytest.fixture
def second(cupy):
    """The second GPU, while the first is the current one."""
    if cupy.cuda.runtime.getDeviceCount() < 2:
        pytest.skip("this machine has one GPU")
    cupy.cuda.Device(0).use()
    yield td.device("cuda", 1)
    cupy.cuda.Device(0).use()


@pytest.fixture
def without_cupy(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)  # importing it fails


# ---------------------------------------------------------------- tensors


def test_a_tensor_goes_where_it_is_told(cupy):
    x = td.tensor([1.5, 2.5])
    for y in (x.to("cuda"), x.to(GPU), x.to("cuda:0"), x.cuda(), x.cuda(0), x.cuda(GPU),
              x.to(device="cuda"), x.to(td.zeros(1, device="cuda"))):  # fmt: skip
        assert y.device == GPU and y.dtype == td.float32 and isinstance(y.data, cupy.ndarray)
        assert y.tolist() == [1.5, 2.5] and y.cpu().device == CPU
        assert y.to("cuda") is y and y.cuda() is y and y.to(y) is y
    assert x.cpu() is x and x.to("cpu", td.float32) is x
    both = x.to("cuda", td.int64)
    assert (both.device, both.dtype, both.tolist()) == (GPU, td.int64, [1, 2])
    assert x.to(td.ones(1, dtype=td.float64, device="cuda")).dtype == td.float64
    assert x.to("cuda").to(td.float64).device == GPU  # a dtype alone moves nothing
    for make in (td.zeros, td.ones, td.rand, td.randn, td.eye, td.arange):
        assert make(3, device="cuda").device == GPU
    assert td.zeros_like(x.cuda()).device == GPU == td.tensor(x.cuda()).device


def test_a_tensor_goes_to_a_second_gpu(second):
    x = td.tensor([1.5, 2.5], requires_grad=True)
    first = x.cuda()
    for y in (x.to("cuda:1"), x.cuda(1), x.cuda("cuda:1"), first.to(second), first.cuda(1)):
        assert y.device == second and y.tolist() == [1.5, 2.5]
    (first.to("cuda:1") ** 2).sum().backward()
    assert x.grad.device == CPU and x.grad.tolist() == [3, 5]
    with refused(RuntimeError, "cuda:0", "cuda:1", "one device", ".to('cuda')"):
        first + first.to(second)


@pytest.mark.parametrize("name", ["cuda:7", "cuda:2"])
def test_a_gpu_that_is_not_there(name, cupy):
    count = td.cuda.device_count()
    if int(name[-1]) < count:
        pytest.skip("this machine has it")
    with refused(RuntimeError, name, "cuda:0", f"cuda:{count - 1}"):
        td.ones(2).to(name)


def test_every_op_stays_on_its_gpu(second, cupy):
    for case in [c for c in CASES if c.function is not To]:
        cupy.cuda.Device(0).use()
        inputs = case.inputs(np.float32, second)
        y = case(*inputs)
        assert y.device == second, case.name
        gradients = td.grad(y, inputs, td.ones_like(y), allow_unused=True)
        assert all(g is None or g.device == second for g in gradients), case.name


# ---------------------------------------------------------------- modules and optimisers


class Net(nn.Module):
    def __init__(self):
        self.first, self.norm = nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)
        self.tied = self.first

    def forward(self, x):
        return self.norm(self.first(x)).relu()


def everything(module):
    return [*module.parameters(), *module.buffers()]


def test_a_module_moves_and_stays_itself(cupy):
    net = Net()
    before, image = everything(net), td.randn(2, 1, 5, 5)
    net(image).sum().backward()
    expected = [to_numpy(p.grad.data) for p in net.parameters()]
    assert net.cuda() is net and all(a is b for a, b in zip(before, everything(net), strict=True))
    assert net.tied is net.first and len(list(net.parameters())) == 4
    assert {x.device for x in before} == {GPU} == {p.grad.device for p in net.parameters()}
    assert net.norm.num_batches_tracked.dtype == td.int64
    assert net(image.cuda()).device == GPU
    net.to("cuda", td.float64).cpu()
    assert {x.device for x in before} == {CPU} and net.first.weight.dtype == td.float64
    for p, g in zip(net.parameters(), expected, strict=True):
        np.testing.assert_allclose(p.grad.data, g, rtol=1e-6)


def test_a_module_moves_to_a_second_gpu(second):
    net = Net()
    for move in (lambda: net.to("cuda:1"), lambda: net.cuda(1), lambda: net.cuda(second)):
        move()
        assert {x.device for x in everything(net)} == {second}
        assert net(td.ones(1, 1, 5, 5, device=second)).device == second
        net.cuda()
        assert {x.device for x in everything(net)} == {GPU}


def test_one_seed_gives_the_same_weights_everywhere(cupy):
    def weights(**where):
        td.manual_seed(5)
        layer = nn.ConvTranspose2d(3, 4, 5)
        drawn = (td.rand(3, **where), td.randn(3, **where), td.randint(9, (3,), **where))
        return [*layer.to(where.get("device", "cpu")).parameters(), *drawn]

    for a, b in zip(weights(), weights(device="cuda"), strict=True):
        assert b.device == GPU and a.dtype == b.dtype
        np.testing.assert_array_equal(a.detach().numpy(), to_numpy(b.data))


OPTIMISERS = [(optim.SGD, {"momentum": 0.9}), (optim.Adam, {}), (optim.RMSprop, {})]


@pytest.mark.parametrize("moves", [(0,), (2,), (2, 4)], ids=str)
@pytest.mark.parametrize("kind, options", OPTIMISERS)
def test_an_optimiser_follows_its_parameters(kind, options, moves, cupy):
    def trained(moves):
        td.manual_seed(0)
        layer, places = nn.Linear(3, 2), iter(["cuda", "cpu"])
        optimizer = kind(layer.parameters(), lr=0.01, **options)
        for step in range(6):
            if step in moves:
                layer.to(next(places))
            optimizer.zero_grad()
            (layer(td.ones(4, 3, device=layer.weight.device)) ** 2).sum().backward()
            optimizer.step()
        states = [x for s in optimizer.state.values() for n, x in s.items() if n != "step"]
        assert {x.device for x in states} == {layer.weight.device}
        return to_numpy(layer.weight.data)

    np.testing.assert_allclose(trained(moves), trained(()), rtol=1e-5)


def test_files_know_no_device(tmp_path, cupy):
    net, path = Net().cuda(), tmp_path / "net.safetensors"
    td.save(net.state_dict(), path)
    there = td.load(path)
    assert {x.device for x in there.values()} == {CPU}
    for other in (Net(), Net().cuda()):
        place = other.first.weight.device
        other.load_state_dict(there)
        other.load_state_dict(net.state_dict())  # from the GPU itself
        assert {x.device for x in everything(other)} == {place}
        for a, b in zip(everything(net), everything(other), strict=True):
            np.testing.assert_array_equal(to_numpy(a.data), to_numpy(b.data))


# ---------------------------------------------------------------- td.cuda


def test_memory_is_counted(cupy):
    x = td.zeros(1000, 1000, device="cuda")
    td.cuda.synchronize()
    held = td.cuda.memory_allocated()
    assert held >= 4_000_000 == x.numel() * 4
    td.cuda.reset_peak_memory_stats()
    assert td.cuda.max_memory_allocated() == held
    y = x + 1
    assert td.cuda.memory_allocated() >= held + 4_000_000
    del x, y
    assert td.cuda.memory_allocated() <= held - 4_000_000
    assert td.cuda.max_memory_allocated() >= held + 4_000_000
    for device in (0, "cuda", "cuda:0", GPU):
        assert td.cuda.max_memory_allocated(device) == td.cuda.max_memory_allocated()
    td.cuda.empty_cache()
    free, total = td.cuda.mem_get_info()
    assert 0 < free <= total
    monkey = dict(cuda._peaks)
    cuda._peaks.clear()  # from now on no allocation counts
    with refused(RuntimeError, "reset_peak_memory_stats"):
        td.cuda.max_memory_allocated()
    cuda._peaks.update(monkey)


def test_memory_is_counted_for_each_gpu(second):
    x = td.zeros(1000, device=second)
    before = td.cuda.memory_allocated(second)
    y = td.zeros(10**6, device=second)
    assert td.cuda.memory_allocated(1) >= before + y.numel() * 4 > td.cuda.memory_allocated(0)
    assert x.device == second


def test_out_of_memory_is_one_sentence(cupy):
    pool = cupy.get_default_memory_pool()
    x = td.zeros(1000, 1000, device="cuda")
    td.cuda.empty_cache()
    pool.set_limit(size=pool.total_bytes() + 10**6)
    words = "cuda:0", "400.00 MB", "GB", "free", "smaller batch"
    try:
        with refused(td.cuda.OutOfMemoryError, *words):
            td.zeros(10**8, device="cuda")  # more than CuPy can have kept
        assert issubclass(td.cuda.OutOfMemoryError, RuntimeError)  # as in PyTorch
    finally:
        pool.set_limit(size=0)
    assert (x + 1).sum().item() == 10**6  # one can go on


def test_nothing_of_it_needs_a_gpu(without_cupy, monkeypatch):
    monkeypatch.setattr(cuda, "_known", None)
    assert not td.cuda.is_available() and td.cuda.device_count() == 0
    assert td.cuda.memory_allocated() == 0
    td.cuda.empty_cache()
    with refused(RuntimeError, "CuPy"):
        td.cuda.synchronize()


# ---------------------------------------------------------------- TF32


@pytest.fixture
def switch():
    yield td.backends.cuda
    td.backends.cuda.allow_tf32 = False


def test_tf32_is_off_and_takes_a_bool(switch):
    assert switch.allow_tf32 is False
    for value in (1, "yes", None, np.bool_(True)):
        with refused(TypeError, "True", "False", "allow_tf32"):
            switch.allow_tf32 = value
    with pytest.raises(AttributeError):
        switch.alow_tf32 = True
    assert switch.allow_tf32 is False


PRODUCTS = {
    "matrices": lambda x, w: x[0, 0] @ x[1, 0],
    "stacks": lambda x, w: x @ x,
    "a matrix and a stack": lambda x, w: x[0, 0] @ x,
    "conv2d": lambda x, w: F.conv2d(x, w),
    "conv_transpose2d": lambda x, w: F.conv_transpose2d(x, w),
}


@pytest.mark.parametrize("what", PRODUCTS)
def test_tf32_changes_digits_of_float32_alone(what, switch, cupy):
    if int(getattr(cupy.cuda.Device(0), "compute_capability", 80)) < 80:
        pytest.skip("this GPU has no TF32")
    td.manual_seed(0)
    # cuBLAS need not use TF32 where it may, and does without it for small matrices
    channels, side = (1, 32) if cupy.ndarray.__module__ == "strict_cupy" else (64, 128)
    x = td.randn(4, channels, side, side, device="cuda")
    w = td.randn(channels, channels, 5, 5, device="cuda") / channels**0.5

    def computed(dtype):
        return to_numpy(PRODUCTS[what](x.to(dtype), w.to(dtype)).data)

    exact, before = computed(td.float64), computed(td.float32)
    switch.allow_tf32 = True
    rounded = computed(td.float32)
    np.testing.assert_array_equal(computed(td.float64), exact)
    assert abs(before - exact).max() < 1e-4 < abs(rounded - exact).max() < 0.2
    switch.allow_tf32 = False
    np.testing.assert_array_equal(computed(td.float32), before)


def test_no_variable_turns_tf32_on(cupy, monkeypatch):
    """Not even for arrays that CuPy, imported by somebody else, made."""
    monkeypatch.setenv("CUPY_TF32", "1")
    linalg = cupy._core._routines_linalg
    linalg.set_compute_type(np.float32, linalg.COMPUTE_TYPE_TBD)  # as after import
    monkeypatch.setattr(cuda, "_known", None)
    x = np.random.default_rng(0).standard_normal((64, 64), np.float32)
    y = td.Tensor(cupy.asarray(x))
    assert abs(to_numpy((y @ y).data) - x @ x).max() < 1e-4


def test_a_cupy_that_has_other_names_is_refused_each_time(cupy, monkeypatch):
    allocator = cupy.cuda.get_allocator()
    monkeypatch.setattr(cuda, "_known", None)
    with monkeypatch.context() as patch:
        patch.delattr(cupy._core, "_routines_linalg")
        for _ in range(2):
            with refused(RuntimeError, "CuPy 14", cupy.__version__, "install"):
                td.ones(2).cuda()
            assert not td.cuda.is_available() and cupy.cuda.get_allocator() is allocator
    assert td.ones(2).cuda().device == GPU


def test_tf32_can_be_allowed_before_cupy_is_there(switch, cupy, monkeypatch):
    monkeypatch.setattr(cuda, "_known", None)
    switch.allow_tf32 = True
    x = td.randn(256, 256)  # cuBLAS need not use it for small matrices
    error = abs((x.cuda() @ x.cuda()).cpu().data - x.data @ x.data).max()
    assert error > 1e-4 or int(getattr(cupy.cuda.Device(0), "compute_capability", 80)) < 80


def test_tf32_goes_on_and_off_on_every_gpu(switch, second):
    x = {place: td.randn(8, 8, 8, device=place) for place in (GPU, second)}
    before = {place: to_numpy((y @ y).data) for place, y in x.items()}
    switch.allow_tf32 = True
    for place, y in x.items():
        assert (to_numpy((y @ y).data) != before[place]).any()
    switch.allow_tf32 = False
    for place, y in x.items():
        np.testing.assert_array_equal(to_numpy((y @ y).data), before[place])


# ---------------------------------------------------------------- what is missing


@pytest.mark.parametrize(
    "driver, words",
    [
        (None, ["[cuda13]", "[cuda12]", "nvidia-smi", "no driver"]),
        ((12, 4), ["pip install 'tinydeconv[cuda12]'", "12.4", "nvidia-smi"]),
        ((13, 0), ["pip install 'tinydeconv[cuda13]'", "13.0", "nvidia-smi"]),
    ],
)
def test_without_cupy_the_fitting_extra_is_told(driver, words, without_cupy, monkeypatch):
    monkeypatch.setattr(cuda, "driver_version", lambda: driver)
    for ask in (lambda: td.ones(2).cuda(), import_cupy):
        with pytest.raises(RuntimeError) as caught:
            ask()
        assert all(word in str(caught.value) for word in ["CuPy, which is not installed", *words])
    assert not td.cuda.is_available()


@pytest.mark.parametrize(
    "driver, words",
    [
        (None, ["no driver", "install NVIDIA's", "nvidia-smi"]),
        ((12, 4), ["for CUDA 13", "12.4", "update the driver", "tinydeconv[cuda12]"]),
        ((13, 0), ["no GPU", "nvidia-smi", "CUDA_VISIBLE_DEVICES"]),
    ],
)
def test_cupy_without_a_gpu_says_what_is_wrong(driver, words, monkeypatch):
    runtime = SimpleNamespace(runtimeGetVersion=lambda: 13020)
    lonely = SimpleNamespace(
        cuda=SimpleNamespace(is_available=lambda: False, runtime=runtime), ndarray=type(None)
    )
    monkeypatch.setitem(sys.modules, "cupy", lonely)
    monkeypatch.setattr(cuda, "driver_version", lambda: driver)
    with pytest.raises(RuntimeError) as caught:
        td.ones(2).cuda()
    assert all(word in str(caught.value) for word in ["CuPy is installed", *words])
    assert not td.cuda.is_available() and td.cuda.device_count() == 0
    assert (td.ones(2) + 1).sum().item() == 4  # the CPU goes on


def test_a_cupy_that_cannot_be_imported(tmp_path, monkeypatch):
    (tmp_path / "cupy.py").write_text("raise ImportError('numpy is too old')", encoding="utf-8")
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with refused(RuntimeError, "CuPy is installed", "numpy is too old"):
        td.ones(2).cuda()
    assert not td.cuda.is_available()


def test_the_version_of_the_driver(monkeypatch):
    def tell(pointer):
        pointer._obj.value = 12040

    monkeypatch.setattr(ctypes, "CDLL", lambda name: SimpleNamespace(cuDriverGetVersion=tell))
    assert cuda.driver_version() == (12, 4)

    def missing(name):
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(ctypes, "CDLL", missing)
    assert cuda.driver_version() is None


def test_two_devices_never_meet(cupy):
    x = td.ones(2)
    for mixed in (lambda: x + x.cuda(), lambda: x.cuda() @ x, lambda: td.cat([x, x.cuda()])):
        with refused(RuntimeError, "one device", "cpu", "cuda:0", ".to('cpu')"):
            mixed()
    with refused(RuntimeError, "one device", "cpu", "cuda:0"):
        nn.Linear(2, 2).cuda()(x)
    assert array_module(x.cuda().data) is cupy and array_module(x.data) is np


# ---------------------------------------------------------------- commands

TINY = Settings(steps=4, channels=(2, 3, 4), batch_size=1, crop=8, epoch=3)


@pytest.fixture
def tiny(monkeypatch):
    """A training of four steps that draws and measures nothing."""

    def patch(*_):
        made = np.full((8, 8), 0.5, np.float32)
        return {"clean": made * 0, "noisy": made, "network": made}

    monkeypatch.setitem(recipe.RECIPES, "denoise", TINY)
    monkeypatch.setattr(recipe, "METHODS", {})
    monkeypatch.setattr(recipe, "denoised", patch)
    monkeypatch.setattr(recipe.viz, "denoise_panel", lambda *_: None)


def train(*words):
    return main(["train", "denoise", *map(str, words)])


def weights(folder):
    return {
        name: x.data for name, x in models.load(folder / "weights.safetensors")._state().items()
    }


def test_a_training_goes_on_on_the_other_device(cupy, tiny, tmp_path, monkeypatch, capsys):
    folders, places = {}, []
    noting = spy(
        recipe.train, lambda training: places.append(place(training.networks["denoiser"]).type)
    )
    monkeypatch.setattr(recipe, "train", noting)
    for first, then in (("cpu", "cuda"), ("cuda", "cpu"), ("cuda", "cuda"), ("cpu", "cpu")):
        folder = folders[first, then] = tmp_path / f"{first}-{then}"
        training = common.start("denoise", folder, TINY, first)
        assert {p.device.type for p in training.networks["denoiser"].parameters()} == {first}
        for batch in islice(training._batches(), 2):
            training._take_step(batch)
        training.save()
        assert train("--out", folder, "--resume", "--device", then) == 0
        assert places.pop() == then
    reference = weights(folders.pop(("cpu", "cpu")))
    moved = models.Denoiser(TINY.channels)
    assert any(abs(reference[n] - x.data).max() > 1e-4 for n, x in moved.state_dict().items())
    for folder in folders.values():
        for name, array in weights(folder).items():
            np.testing.assert_allclose(array, reference[name], rtol=1e-3, atol=1e-5)
    assert "going on with the training" in capsys.readouterr().out


SMALL = {  # of each recipe
    "denoise": {"channels": (2, 3), "batch_size": 1, "crop": 8},
    "classify": {"channels": (2, 2), "batch_size": 2},
    "dcgan": {"channels": (3, 2, 2), "judges": (2, 2, 3), "batch_size": 2, "latent": 3},
    "cgan": {"channels": (3, 2, 2), "judges": (2, 2, 3), "batch_size": 2, "spectral_norm": True},
    "wgan": {"channels": (3, 2, 2), "judges": (2, 2, 3), "batch_size": 2, "latent": 3},
    "vae": {"channels": (3, 2, 2), "batch_size": 2, "latent": 3, "likelihood": "gaussian"},
    "cvae": {"channels": (3, 2, 2), "batch_size": 2, "latent": 3},
    "pix2pix": {"channels": (3, 2), "judges": (2, 2), "batch_size": 2},
    "tones": {"channels": (3, 2, 2, 2), "batch_size": 1, "harmonics": 1, "windows": (16, 8)},
    "fill": {"channels": (2, 3), "batch_size": 2, "outside": 0.1},
    "dejpeg": {"channels": (2, 3), "batch_size": 1, "crop": 16},
    "sr": {"channels": (3, 2, 2), "batch_size": 1, "crop": 8, "adversarial": 0.1},
    "texture": {"channels": (3, 2), "judges": (2, 2), "batch_size": 2, "crop": 32, "latent": 3},
}


@pytest.mark.parametrize("name", common.PAGES)
def test_every_recipe_takes_the_same_steps_on_a_device(name, cupy, tmp_path):
    settings = replace(common.page(name).RECIPES[name], steps=2, **SMALL[name])
    losses = {}
    for where in ("cpu", "cuda"):
        training = common.start(name, tmp_path / where, settings, where)
        training.run()
        losses[where] = training.losses
        for network in training.networks.values():
            assert {x.device.type for x in network.parameters()} == {where}
    assert losses["cpu"].keys() == losses["cuda"].keys()
    for loss, of in losses["cpu"].items():
        np.testing.assert_allclose(losses["cuda"][loss], of, rtol=2e-3)


def test_every_command_has_a_device(cupy, tiny, tmp_path, monkeypatch, capsys):
    used = []
    monkeypatch.setattr(
        nn.Module, "__call__", spy(nn.Module.__call__, lambda model, *_: used.append(place(model)))
    )
    image = np.random.default_rng(0).random((16, 16), np.float32)
    checked = spy(Case.__call__, lambda case, x, *_: used.append(x.device))
    monkeypatch.setattr(Case, "__call__", checked)
    photo, results = tmp_path / "photo.png", []
    td.data.write_image(photo, image)
    for device in ("cpu", "cuda", "auto"):
        used.clear()
        folder, clean = tmp_path / device, tmp_path / f"{device}.png"
        assert train("--out", folder, "--device", device) == 0
        words = ["denoise", photo, "--sigma", 25, "--out", clean, "--device", device]
        words += ["--weights", tmp_path / "cpu" / "weights.safetensors"]
        assert main(list(map(str, words))) == 0
        assert main(["gradcheck", "exp", "linear", "--device", device]) == 0
        assert set(used) - {None} == {CPU if device == "cpu" else GPU}
        assert ("on the GPU, cuda:0" in capsys.readouterr().out) == (device == "auto")
        results.append(td.data.read_image(clean))
    for result in results:
        np.testing.assert_allclose(result, results[0], atol=1.5 / 255)


def spy(function, note):
    def noting(*args, **options):
        note(*args)
        return function(*args, **options)

    return noting


def place(model):
    return next((p.device for p in model.parameters()), None)


COMMANDS = ["train denoise --out out", "denoise photo.png", "gradcheck exp", "bench"]


@pytest.mark.parametrize("command", COMMANDS)
def test_cuda_that_is_not_there_is_one_line(command, tmp_path, monkeypatch, without_cupy, capsys):
    monkeypatch.chdir(tmp_path)
    td.data.write_image(tmp_path / "photo.png", np.zeros((8, 8)))
    with pytest.raises(SystemExit) as stop:
        main([*command.split(), "--device", "cuda"])
    told = capsys.readouterr().err
    assert stop.value.code == 2 and told.count("\n") == 1 and told.startswith("tinydeconv: ")
    assert "needs CuPy" in told and "tinydeconv[cuda" in told
    assert [p.name for p in tmp_path.iterdir()] == ["photo.png"]
    with pytest.raises(SystemExit) as stop:
        main([*command.split(), "--device", "tpu"])
    told = capsys.readouterr().err
    assert stop.value.code == 2 and all(word in told for word in ("tpu", "auto", "cpu", "cuda"))


def test_the_bench_has_the_places_of_its_device(cupy):
    here, everywhere = bench.places("cpu"), bench.places("auto")
    assert all(p.xp is np for p in here) and here == everywhere[: len(here)] != everywhere
    assert bench.places("cuda") == everywhere and everywhere[-1].xp is cupy


def test_auto_goes_on_without_a_gpu(without_cupy, tmp_path, capsys):
    photo = tmp_path / "photo.png"
    td.data.write_image(photo, np.zeros((8, 8)))
    assert main(["denoise", str(photo), "--sigma", "9", "--device", "auto"]) == 0
    told = capsys.readouterr()
    assert told.err == "" and "GPU" not in told.out


def test_auto_goes_on_with_a_broken_gpu(cupy, tmp_path, monkeypatch, capsys):
    def broken(*_, **__):
        raise RuntimeError("cudaErrorNoKernelImageForDevice: no kernel image is available")

    photo = tmp_path / "photo.png"
    td.data.write_image(photo, np.zeros((8, 8)))
    monkeypatch.setattr(cupy, "asarray", broken)
    assert main(["denoise", str(photo), "--sigma", "9"]) == 0
    told = capsys.readouterr().err
    assert "on the CPU" in told and "no kernel image" in told
    with pytest.raises(SystemExit) as stop:
        main(["denoise", str(photo), "--sigma", "9", "--device", "cuda"])
    assert stop.value.code == 2 and "no kernel image" in capsys.readouterr().err


def test_a_full_gpu_is_told_in_one_line(cupy, tiny, tmp_path, capsys):
    pool = cupy.get_default_memory_pool()

    def fill(*_):
        td.cuda.empty_cache()
        pool.set_limit(size=pool.total_bytes() + 1)
        return td.zeros(10**8, device="cuda")  # more than CuPy can have kept

    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(recipe, "_loss", fill)
            assert train("--out", tmp_path, "--device", "cuda") == 2
    finally:
        pool.set_limit(size=0)
    told = capsys.readouterr().err.splitlines()[-1]
    assert told.startswith("tinydeconv: out of memory on cuda:0") and "smaller batch" in told


def test_how_to_go_on_names_the_device(cupy, tiny, tmp_path, monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(recipe, "_measurements", interrupted)
    assert train("--out", tmp_path, "--device", "cuda") == 130
    assert capsys.readouterr().err.rstrip().endswith("--resume --device cuda")


# ---------------------------------------------------------------- tinydeconv info


def told_by_info(capsys):
    assert main(["info"]) == 0
    return capsys.readouterr().out


def test_info_tells_of_the_gpus(cupy, capsys):
    told = told_by_info(capsys)
    name = cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()
    (line,) = [line for line in told.splitlines() if line.startswith("cuda:0")]
    assert name in line and "compute capability" in line and "GB" in line and "free" in line
    assert cupy.__version__ in told and "no GPU" not in told and "TF32       off" in told


def test_info_tells_why_no_gpu_is_used(without_cupy, capsys):
    told = told_by_info(capsys)
    for word in (td.__version__, np.__version__, "threads", "BLAS", "TF32       off", "simulator"):
        assert word in told
    with pytest.raises(RuntimeError) as caught:
        import_cupy()
    assert f"no GPU     {caught.value}" in told.splitlines() and "cuda:0" not in told


def test_info_survives_a_broken_gpu(cupy, monkeypatch, capsys):
    def broken(*_):
        raise RuntimeError("cudaErrorDevicesUnavailable: busy or unavailable")

    monkeypatch.setattr(cuda, "mem_get_info", broken)
    assert "no GPU     cudaErrorDevicesUnavailable" in told_by_info(capsys)


def test_info_is_part_of_every_report(cupy):
    told = info.machine()
    assert {"versions", "machine", "threads", "blas", "gpus", "allow_tf32"} <= set(told)
    assert told["gpus"][0]["memory"] > 0 and told["allow_tf32"] is False


def test_info_tells_whether_the_simulator_has_a_compiler(without_cupy, monkeypatch):
    for path, word in (("/usr/bin/g++", "/usr/bin/g++"), (None, "needs a C++ compiler")):
        monkeypatch.setattr(cudasim, "compiler", lambda path=path: path)
        (line,) = [line for line in info.lines() if line.startswith("simulator  ")]
        assert word in line
