"""The generator and the discriminator, their losses, and their training."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from refusals import refused

import tinydeconv as td
from tinydeconv import data, models
from tinydeconv.models import Discriminator, Generator, PatchDiscriminator
from tinydeconv.recipes import common, gan
from tinydeconv.recipes.gan import LOSSES, RECIPES, Settings

rng = np.random.default_rng(0)
SMALL = {"steps": 2, "batch_size": 4, "latent": 5, "channels": (6, 4, 3), "judges": (3, 4, 6)}


def game(classes=0, seed=0, **more):
    """A small training's networks, optimisers and settings, and a batch."""
    settings = Settings(**SMALL, classes=classes, **more)
    td.manual_seed(seed)
    training = gan.build(None, settings, "cpu")
    return training, gan.data_set(settings).batch(0, range(4))


def numbers(network):
    return {name: x.numpy().copy() for name, x in network.state_dict().items()}


# ---------------------------------------------------------------- the networks


@pytest.mark.parametrize("classes", [0, 10])
@pytest.mark.parametrize("channels, side", [((6, 4, 3), 32), ((8, 6, 4, 3), 64)])
def test_shapes(channels, side, classes):
    generator = Generator(5, channels, 3, classes)
    discriminator = Discriminator(channels[::-1], 3, classes)
    labels = [td.tensor([0, 9])] if classes else []
    images = generator(td.randn(2, 5), *labels)
    assert images.shape == (2, 3, side, side)
    assert abs(images).max().item() < 1
    assert discriminator(images, *labels).shape == (2,)


def test_batch_norm_stands_where_the_paper_has_it():
    def norms(network):
        return [
            layer.num_features for layer in network.ladder if type(layer).__name__ == "BatchNorm2d"
        ]

    assert norms(Generator(5, (6, 4, 3))) == [6, 4, 3]  # but not after the last layer
    assert norms(Discriminator((3, 4, 6))) == [4, 6]  # but not after the first layer
    assert norms(Discriminator((3, 4, 6), spectral_norm=True)) == []
    assert norms(Discriminator((3, 4, 6), batch_norm=False)) == []
    assert norms(PatchDiscriminator((3, 4, 6))) == [4, 6]
    assert norms(PatchDiscriminator((3, 4, 6), batch_norm=False)) == []


@pytest.mark.parametrize("channels", [(6, 3), (3, 3)])
def test_a_bias_stands_where_no_batch_norm_takes_it_off(channels):
    def biased(network):
        return [layer.bias is not None for layer in network.ladder if hasattr(layer, "kernel_size")]

    assert biased(Generator(5, channels, 3)) == [False, True]
    assert biased(Discriminator(channels, 3)) == [True, False]
    assert biased(Discriminator(channels, 3, spectral_norm=True)) == [True, True]
    assert biased(PatchDiscriminator(channels, 3)) == [True, False]
    assert biased(PatchDiscriminator(channels, 3, batch_norm=False)) == [True, True]


@pytest.mark.parametrize("height, width, places", [(8, 8, (2, 2)), (9, 30, (2, 7))])
def test_a_patch_discriminator_takes_any_size_and_judges_places(height, width, places):
    td.manual_seed(0)
    network = PatchDiscriminator((3, 4), 2, batch_norm=False)
    images = td.randn(2, 2, height, width).numpy()
    logits = network(td.tensor(images)).detach()
    assert logits.shape == (2, 1, *places)
    images[..., :2, :2] = 9  # a corner, which the place at the other end of a row does not see
    changed = network(td.tensor(images)).detach().numpy() != logits.numpy()
    assert changed[..., 0, 0].all() and changed[..., -1].any() == (width < 20)


def test_a_picture_too_small_for_a_patch_is_refused():
    with refused(ValueError, "8 pixels a side or more", "(1, 1, 7, 9)"):
        PatchDiscriminator((3, 4))(td.randn(1, 1, 7, 9))


def test_the_first_weights_are_the_papers():
    td.manual_seed(0)
    for network in (Generator(), Discriminator()):
        for name, w in network.named_parameters():
            mean, deviation = w.mean().item(), w.std().item() if w.numel() > 1 else 0
            if w.ndim > 1:
                assert abs(mean) < 0.002 and 0.018 < deviation < 0.022, name
            elif name.endswith("weight"):
                assert abs(mean - 1) < 0.02 and 0.01 < deviation < 0.03, name
            else:
                assert not w.detach().numpy().any(), name


@pytest.mark.parametrize("activation, below", [("relu", 0), ("leaky_relu", -0.2), ("prelu", -0.25)])
def test_activations(activation, below):
    layer = Generator(5, (6, 4, 3), activation=activation).ladder[2]
    assert layer(td.tensor([-1.0, 2.0])).tolist() == pytest.approx([below, 2])


def test_labels_change_pictures_and_logits():
    generator, discriminator = Generator(5, (6, 4, 3), 1, 3), Discriminator((3, 4, 6), 1, 3)
    generator.eval(), discriminator.eval()
    z = td.randn(1, 5)
    images = [generator(z, td.tensor([label])) for label in range(3)]
    logits = [discriminator(images[0], td.tensor([label])).item() for label in range(3)]
    assert len({image.detach().numpy().tobytes() for image in images}) == len(set(logits)) == 3


def test_the_projection_is_a_product_with_the_features():
    """Logit = <w + embedding of the label, features> + b, by loops."""
    network = Discriminator((3, 4), 1, 3).double()
    images, labels = td.tensor(rng.random((3, 1, 16, 16))), [2, 0, 1]
    features = network.ladder(images).detach().numpy()
    w, b, table = (
        x.detach().numpy()
        for x in (network.last.weight, network.last.bias, network.embedding.weight)
    )
    for i, logit in enumerate(network(images, td.tensor(labels)).tolist()):
        expected = b[0] + sum(
            (w[0, j] + table[labels[i], j]) * f for j, f in enumerate(features[i])
        )
        assert logit == pytest.approx(expected, rel=1e-10)


def test_spectral_norm_bounds_every_layer():
    td.manual_seed(0)
    network = Discriminator((3, 4, 6), 1, 3, spectral_norm=True)
    for _ in range(100):
        network(td.randn(2, 1, 32, 32), td.tensor([0, 1]))
    network.eval()
    layers = [layer for layer in network.modules() if hasattr(layer, "parametrizations")]
    assert len(layers) == 5  # three convolutions, the last layer, the embedding
    for layer in layers:
        matrix = layer.weight.detach().numpy().reshape(len(layer.weight), -1)
        assert np.linalg.svd(matrix, compute_uv=False)[0] == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(
    "model",
    [
        Generator(5, (4, 3), 3, 2, "prelu"),
        Discriminator((3, 4), 3, 2),
        Discriminator((3, 4), spectral_norm=True, activation="relu"),
    ],
)
def test_a_network_comes_back_from_its_file(tmp_path, model):
    models.save(model, tmp_path / "w.safetensors")
    again = models.load(tmp_path / "w.safetensors", type(model))
    assert again.config == model.config
    assert {n: x.tobytes() for n, x in numbers(again).items()} == {
        n: x.tobytes() for n, x in numbers(model).items()
    }


# ---------------------------------------------------------------- losses


def sigmoid(s):
    return 1 / (1 + np.exp(-s))


@pytest.mark.parametrize("smoothing", [0, 0.1])
@pytest.mark.parametrize("name", LOSSES)
def test_losses_are_their_formulas(name, smoothing):
    """Values by loops over probabilities, slopes by central differences."""
    real, fake = rng.normal(0, 2, 7), rng.normal(0, 2, 5)

    def judged(real, fake):
        if name == "hinge":
            return np.mean([max(0, 1 - smoothing - s) for s in real]) + np.mean(
                [max(0, 1 + s) for s in fake]
            )
        a = smoothing
        return np.mean(
            [-(1 - a) * np.log(sigmoid(s)) - a * np.log(1 - sigmoid(s)) for s in real]
        ) + np.mean([-np.log(1 - sigmoid(s)) for s in fake])

    def painted(fake):
        formula = {
            "minimax": lambda s: np.log(1 - sigmoid(s)),
            "non-saturating": lambda s: -np.log(sigmoid(s)),
            "hinge": lambda s: -s,
        }[name]
        return np.mean([formula(s) for s in fake])

    r, f = (td.tensor(x, requires_grad=True) for x in (real, fake))
    d_loss, g_loss = LOSSES[name][0](r, f, smoothing), LOSSES[name][1](f)
    assert d_loss.item() == pytest.approx(judged(real, fake), rel=1e-12)
    assert g_loss.item() == pytest.approx(painted(fake), rel=1e-12)
    for loss, inputs, function in (
        (d_loss, (r, f), judged),
        (g_loss, (f,), painted),
    ):
        values = [x.detach().numpy() for x in inputs]
        for which, g in enumerate(td.grad(loss, inputs)):
            for i in range(len(values[which])):
                ends = []
                for step in (1e-6, -1e-6):
                    moved = [v.copy() for v in values]
                    moved[which][i] += step
                    ends.append(function(*moved))
                assert g[i].item() == pytest.approx((ends[0] - ends[1]) / 2e-6, abs=1e-8)


def test_only_the_original_stalls_where_a_fake_is_recognised():
    slopes = {}
    for name, (_, to_paint) in LOSSES.items():
        s = td.tensor([-10.0], requires_grad=True)
        slopes[name] = td.grad(to_paint(s), s)[0].item()
    assert slopes == pytest.approx(
        {"minimax": -4.54e-5, "non-saturating": -1, "hinge": -1}, rel=1e-3
    )


def test_penalties_are_sums_over_weights_alone():
    network = Generator(5, (4, 3)).double()
    weights = [w.detach().numpy().ravel() for w in network.parameters() if w.ndim > 1]
    assert len(weights) == 3
    expected = sum(0.3 * abs(x) + 0.7 * x * x for w in weights for x in w)
    assert gan.penalty(network, 0.3, 0.7).item() == pytest.approx(expected, rel=1e-12)
    assert gan.penalty(network, 0, 0) == 0


# ---------------------------------------------------------------- a step


def test_the_settings_choose_the_networks():
    settings = Settings(**{**SMALL, "latent": 7, "channels": (6, 4, 2)}, classes=10, size=64,
                        activation="prelu", spectral_norm=True)  # fmt: skip
    networks = gan.networks(settings, 3)
    assert networks["generator"].config == {
        "latent": 7, "channels": [12, 6, 4, 2], "out_channels": 3, "classes": 10,
        "activation": "prelu", "upsampling": "transposed4",
    }  # fmt: skip
    assert networks["discriminator"].config == {
        "channels": [3, 4, 6, 12], "in_channels": 3, "classes": 10, "spectral_norm": True,
        "activation": "leaky_relu", "batch_norm": True,
    }  # fmt: skip


def test_the_settings_choose_the_rates():
    """Half way down a cosine it is half of the first one."""
    training, batch = game(generator_lr=0.3, discriminator_lr=0.1, beta1=0.25)
    for part in (1, 0.5):
        for name, rate in {"generator": 0.3, "discriminator": 0.1}.items():
            (group,) = training.optimizers[name].param_groups
            assert group["lr"] == pytest.approx(part * rate) and group["betas"] == (0.25, 0.999)
        training._take_step(batch)


def recorded(training, batch, monkeypatch):
    """[(whose step, each network's gradients before it, {name: changed?})] of one update."""
    found = []
    for name, optimizer in training.optimizers.items():

        def step(name=name, optimizer=optimizer, real=optimizer.step):
            gradients = {
                of: [None if p.grad is None else p.grad.numpy().copy() for p in net.parameters()]
                for of, net in training.networks.items()
            }
            before = {of: numbers(net) for of, net in training.networks.items()}
            real()
            found.append((name, gradients, {
                of: any((numbers(net)[n] != x).any() for n, x in before[of].items())
                for of, net in training.networks.items()
            }))  # fmt: skip

        monkeypatch.setattr(optimizer, "step", step)
    training.update(*batch)
    return found


@pytest.mark.parametrize("loss", LOSSES)
def test_each_step_has_its_own_gradients_and_moves_its_own_network(monkeypatch, loss):
    training, batch = game(10, loss=loss)
    (first, of_first, moved), (second, of_second, moved_too) = recorded(
        training, batch, monkeypatch
    )
    assert (first, second) == ("discriminator", "generator")
    # the discriminator's step reaches no weight of the generator ...
    assert all(g is None for g in of_first["generator"])
    assert all(g is not None for g in of_first["discriminator"])
    assert moved == {"generator": False, "discriminator": True}
    # ... and the generator's leaves the discriminator's gradients as they were
    assert all(g is not None for g in of_second["generator"])
    for before, after in zip(of_first["discriminator"], of_second["discriminator"]):
        assert np.array_equal(before, after)
    assert moved_too == {"generator": True, "discriminator": False}


@pytest.mark.parametrize("classes", [0, 10])
def test_the_losses_of_a_step(classes):
    """Those of the same fakes before and after the discriminator's step."""
    training, (images, labels) = game(classes, smoothing=0.1, l1=1e-3, l2=1e-2)
    again, _ = game(classes, smoothing=0.1, l1=1e-3, l2=1e-2)
    state = td.get_rng_state()
    losses = training.update(images, labels)
    td.set_rng_state(state)
    generator, discriminator = (again.networks[n] for n in ("generator", "discriminator"))
    asked = [td.tensor(labels)] if classes else []
    fake = generator(td.randn(4, 5), *asked)
    real = td.tensor(images.astype(np.float32) / 127.5 - 1)

    def with_penalty(loss, network):
        weights = [w.detach().numpy().astype(float) for w in network.parameters() if w.ndim > 1]
        return loss + sum(1e-3 * abs(w).sum() + 1e-2 * (w**2).sum() for w in weights)

    r, f = (discriminator(x, *asked).detach().numpy().astype(float) for x in (real, fake))
    d_loss = np.mean(-0.9 * np.log(sigmoid(r)) - 0.1 * np.log(1 - sigmoid(r))) - np.mean(
        np.log(1 - sigmoid(f))
    )
    assert losses["discriminator"].item() == pytest.approx(
        with_penalty(d_loss, discriminator), rel=1e-5
    )
    discriminator.load_state_dict(training.networks["discriminator"].state_dict())
    f = discriminator(fake, *asked).detach().numpy().astype(float)
    expected = with_penalty(np.mean(-np.log(sigmoid(f))), generator)
    assert losses["generator"].item() == pytest.approx(expected, rel=1e-5)


# ---------------------------------------------------------------- a training


def small(name="dcgan", **more):
    return replace(RECIPES[name], **{**SMALL, **more})


@pytest.mark.parametrize("name, more", [("dcgan", {"spectral_norm": True}), ("cgan", {})])
def test_two_steps_and_two_more_are_four(tmp_path, name, more):
    """A training that was interrupted ends with the same bits, of every network and optimiser."""
    whole = common.start(name, tmp_path / "whole", small(name, **more, steps=4))
    whole.run()
    part = common.start(name, tmp_path / "part", small(name, **more, steps=4))
    part.steps = 2
    part.run()
    td.randn(3)  # the random numbers are the checkpoint's, not what others left
    again = common.resume(name, tmp_path / "part")
    assert again.step == 2
    again.run()
    assert again.losses == whole.losses
    states = [(tmp_path / run / "checkpoint.safetensors").read_bytes() for run in ("whole", "part")]
    assert states[0] == states[1]


@pytest.mark.parametrize("name", RECIPES)
def test_a_training_leaves_pictures_weights_and_scores(tmp_path, monkeypatch, name):
    monkeypatch.setattr(gan, "MEASURED", 100)
    monkeypatch.setattr(gan, "KNOWN", 50)
    training = common.start(name, tmp_path, small(name))
    table = gan.train(training)
    pictures = {f.name for f in tmp_path.glob("*.png")}
    assert pictures == {"samples-1.png", "samples-2.png", "samples.png", "losses.png"}
    painter = models.load(tmp_path / "generator.safetensors", Generator)
    for key, x in numbers(training.networks["generator"]).items():
        assert np.array_equal(numbers(painter)[key], x)
    results = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert results["training"]["recipe"] == name and results["samples"] == 100
    for of in results["scores"].values():
        assert ("read as asked" in of) == (name == "cgan")
        for what, number in of.items():
            assert f"{number:10.3f}" in next(
                row for row in table.splitlines() if row.startswith(what)
            )
    of_data = results["scores"]["the data"]
    assert of_data["entropy of the classes read, over its maximum"] > 0.9
    assert of_data[f"{gan.WITHIN}, mean"] == pytest.approx(1, abs=0.2)


def test_samples_are_held_against_as_many_images_that_no_training_saw(tmp_path, monkeypatch):
    monkeypatch.setattr(gan, "MEASURED", 20)
    compared = []
    monkeypatch.setattr(gan, "measured", lambda *given: compared.append(given) or {})
    gan.train(common.start("cgan", tmp_path, small("cgan")))
    known = data.Glyphs().batch(0, range(8))[0]  # of two steps of four
    fresh, labels = data.Glyphs(seed=gan.MEASURED_SEED).batch(0, range(40))
    (samples, asked, *against), (images, of_images, *against_too) = compared
    assert len(samples) == 20 and np.array_equal(asked, np.arange(20) % 10)
    np.testing.assert_allclose(images, fresh[20:] / 255, rtol=1e-6)
    assert np.array_equal(of_images, labels[20:])
    for found in (against, against_too):
        for x, expected in zip(found, (known / 255, fresh[:20] / 255, labels[:20], True)):
            np.testing.assert_allclose(x, expected, rtol=1e-6)


def test_a_row_of_a_conditional_picture_is_a_class(tmp_path, monkeypatch):
    """A generator that paints the label as a shade of grey."""

    def samples(generator, n, seed=0):
        labels = np.arange(n) % 10
        return np.broadcast_to((labels / 10).reshape(n, 1, 1, 1), (n, 1, 32, 32))

    monkeypatch.setattr(gan, "samples", samples)
    monkeypatch.setattr(gan, "MEASURED", 100)
    monkeypatch.setattr(gan, "KNOWN", 50)
    gan.train(common.start("cgan", tmp_path, small("cgan")))
    pixels = np.asarray(Image.open(tmp_path / "samples.png"))
    side = len(pixels) // 10
    for label in range(10):
        middle = pixels[side * label + side // 2, side // 2 :: side]
        assert np.array_equal(middle, np.full(10, round(25.5 * label))), label


def test_measures_of_the_data_and_of_a_generator_of_one_picture():
    images, labels = data.Glyphs(seed=5).batch(0, range(600))
    images = images / np.float32(255)
    against = images[:200], images[200:400], labels[200:400]
    least, near = f"{gan.WITHIN}, least", "distance to the nearest of 200 training images"
    for legible in (True, False):
        for asked in (labels[400:], None):
            good = gan.measured(images[400:], asked, *against, legible)
            one = gan.measured(images[:1].repeat(200, 0), asked, *against, legible)
            assert good[least] > 0.75 and one[least] == 0
            assert good[f"{gan.WITHIN}, mean"] == pytest.approx(1, abs=0.1)
            assert good[near] > 2 and one[near] == 0
            assert ("read as asked" in good) == (legible and asked is not None)


def test_where_no_two_images_differ_there_is_no_distance_to_compare_with():
    same = np.zeros((4, 1, 32, 32), np.float32)
    labels = np.arange(4)
    for asked in (None, labels):  # four images that are alike, and four classes of one image
        assert [*gan.measured(same + 1, asked, same, same, labels, False)] == [
            "distance to the nearest of 4 training images"
        ]


def test_unlabelled_images_are_one_class():
    """The distances by loops."""
    images, fresh = rng.random((2, 6, 1, 32, 32), dtype=np.float32)
    found = gan.measured(images, None, fresh, fresh, np.arange(6), False)

    def apart(x):
        return np.mean([np.linalg.norm(x[i] - x[j]) for i in range(6) for j in range(i)])

    assert found[f"{gan.WITHIN}, least"] == pytest.approx(apart(images) / apart(fresh), rel=1e-5)
    assert found[f"{gan.WITHIN}, mean"] == found[f"{gan.WITHIN}, least"]


# ---------------------------------------------------------------- data


def test_fitted_enlarges_whole_times_and_centres():
    x = np.zeros((1, 1, 8, 8), np.float32)
    x[:, :, :, 3:] = 1  # ink from the fourth column on
    y = gan.fitted(x, 32)
    assert y.dtype == np.uint8 and y.shape == (1, 1, 32, 32)
    assert y[0, 0, 0, 0] == 0 and (y[0, 0, :, 14:] == 255).all() and not y[0, 0, :, :10].any()
    images = rng.integers(0, 256, (2, 1, 28, 28), dtype=np.uint8)
    y = gan.fitted(images, 32)
    assert np.array_equal(y[:, :, 2:30, 2:30], images)
    assert y.sum(dtype=int) == images.sum(dtype=int)
    assert (
        gan.fitted(images, 64)[:, :, 4:60, 4:60].any()
        and not gan.fitted(images, 64)[:, :, :4].any()
    )


def test_real_digits_and_ones_own_images(tmp_path):
    images, labels = gan.data_set(small("cgan", data="digits")).batch(0, range(5))
    assert images.shape == (5, 1, 32, 32) and images.dtype == np.uint8 and images.max() > 200
    for label in "ab":
        (tmp_path / label).mkdir()
        for i in range(4):
            pixels = rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / label / f"{i}.png")
    settings = small("cgan", data=str(tmp_path), classes=2, colour=True)
    training = gan.build(tmp_path / "run", settings, "cpu")
    assert training.networks["generator"].config["out_channels"] == 3
    training._take_step(next(training.loader.batches(0)))
    assert training.step == 1


def test_mnist_gets_a_margin(monkeypatch):
    images = rng.integers(0, 256, (9, 1, 28, 28), dtype=np.uint8)
    monkeypatch.setitem(gan.DATA, "mnist", lambda: (images, np.arange(9)))
    found, labels = gan.data_set(small("cgan", data="mnist")).batch(0, range(9))
    assert np.array_equal(found[:, :, 2:30, 2:30], images[labels])


@pytest.mark.parametrize("size", [32, 64])
def test_both_sizes_learn(size):
    training, _ = game(size=size)
    training._take_step(next(training.loader.batches(0)))
    assert training.networks["generator"].side == size


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    "more, words",
    [
        ({"batch_size": 1}, ["batch_size", "2", "1"]),
        ({"loss": "wasserstein"}, ["loss", "minimax", "hinge", "wasserstein"]),
        ({"size": 48}, ["size", "32", "64", "48"]),
        ({"smoothing": 1.0}, ["smoothing", "1.0"]),
        ({"l1": -1.0}, ["l1", "-1.0"]),
        ({"channels": (4, 3)}, ["channels", "3", "(4, 3)"]),
        ({"activation": "gelu"}, ["activation", "prelu", "gelu"]),
        ({"classes": -1}, ["classes", "-1"]),
    ],
)
def test_settings_that_cannot_be(more, words):
    with refused(ValueError, *words):
        small(**more)


@pytest.mark.parametrize(
    "more, words",
    [
        ({"data": "cifar"}, ["glyphs", "digits", "folder", "cifar"]),
        ({"classes": 3}, ["10", "62", "3"]),
        ({"data": "digits", "classes": 3}, ["digits", "10", "3"]),
    ],
)
def test_data_that_cannot_be(tmp_path, more, words):
    with refused(ValueError, *words):
        common.start("dcgan", tmp_path / "run", small(**more))
    assert not (tmp_path / "run").exists()


def test_a_folder_of_one_image(tmp_path):
    Image.fromarray(np.zeros((40, 40), np.uint8)).save(tmp_path / "a.png")
    with refused(ValueError, "batch_size", "1", "4"):
        common.start("dcgan", tmp_path / "run", small(data=str(tmp_path)))
    with refused(ValueError, "classes", "1", "10"):
        common.start("cgan", tmp_path / "run", small("cgan", data=str(tmp_path)))


def test_labels_that_are_missing_or_unknown():
    generator, discriminator = Generator(5, (4, 3), classes=3), Discriminator((3, 4), classes=3)
    for call in (
        lambda *y: generator(td.randn(2, 5), *y),
        lambda *y: discriminator(td.randn(2, 1, 16, 16), *y),
    ):
        with refused(IndexError, "3"):
            call(td.tensor([0, 3]))
        with refused(ValueError, "labels", "3"):
            call()


def test_labels_that_nobody_takes():
    for network, x in (
        (Generator(5, (4, 3)), td.randn(2, 5)),
        (Discriminator((3, 4)), td.randn(2, 1, 16, 16)),
    ):
        with refused(ValueError, "labels", "classes"):
            network(x, td.tensor([0, 1]))


def test_images_of_another_size():
    for side in (1, 8, 32):
        with refused(ValueError, "16", str(side)):
            Discriminator((3, 4))(td.randn(2, 1, side, side))


@pytest.mark.parametrize("network", [Generator, Discriminator])
@pytest.mark.parametrize(
    "more, words",
    [
        ({"channels": ()}, ["channels"]),
        ({"classes": -1}, ["classes", "-1"]),
        ({"activation": "gelu"}, ["relu", "prelu", "gelu"]),
    ],
)
def test_networks_that_cannot_be(network, more, words):
    with refused(ValueError, *words):
        network(**more)
