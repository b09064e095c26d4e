"""The variational autoencoder: its bound, its network, its training, and what it leaves behind."""

import json
from dataclasses import replace

import numpy as np
import pytest
import scipy.stats
from PIL import Image
from refusals import refused

import tinydeconv as td
from tinydeconv import data, models, viz
from tinydeconv.models import VAE, Generator
from tinydeconv.recipes import common, gan, scores, vae
from tinydeconv.recipes.sample import samples
from tinydeconv.recipes.vae import RECIPES

rng = np.random.default_rng(0)
SMALL = {"steps": 2, "batch_size": 4, "latent": 3, "channels": (5, 4, 3)}


def small(name="vae", **more):
    return replace(RECIPES[name], **{**SMALL, **more})


def tiny(classes=0, likelihood="bernoulli", latent=3):
    """A network of pictures of 8 pixels a side, in float64."""
    td.manual_seed(0)
    return VAE(latent, (5,), 1, classes, likelihood).double()


def numbers(network):
    return {name: x.numpy().copy() for name, x in network.state_dict().items()}


def array(x):
    return x.detach().numpy()


def sigmoid(s):
    return 1 / (1 + np.exp(-s))


# ---------------------------------------------------------------- the two parts of the bound


@pytest.mark.parametrize("mean, log_variance", [(0, 0), (1.3, -2), (-0.4, 0.9), (0.2, -6)])
def test_the_divergence_is_its_integral(mean, log_variance):
    """The integral of q log(q / p) over twelve standard deviations to each side."""
    deviation = np.exp(log_variance / 2)
    z = mean + deviation * np.linspace(-12, 12, 20_001)
    log_q, log_p = scipy.stats.norm.logpdf(z, mean, deviation), scipy.stats.norm.logpdf(z)
    expected = np.trapezoid(np.exp(log_q) * (log_q - log_p), z)
    found = vae.divergence(*(td.tensor([float(x)], dtype="float64") for x in (mean, log_variance)))
    assert found.item() == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_the_divergence_is_what_draws_say():
    mean, log_variance = rng.normal(size=4), rng.normal(-1, 1, 4)
    deviation = np.exp(log_variance / 2)
    z = mean + deviation * rng.standard_normal((100_000, 4))
    ratio = scipy.stats.norm.logpdf(z, mean, deviation) - scipy.stats.norm.logpdf(z)
    off = vae.divergence(td.tensor(mean), td.tensor(log_variance)).numpy() - ratio.mean(0)
    assert (abs(off) < 5 * ratio.std(0) / len(z) ** 0.5).all()


def test_likelihoods_are_scipys():
    logits, shape = rng.normal(0, 3, (5, 2, 4, 3)), (5, 2, 4, 3)
    black_and_white, grey = rng.integers(0, 2, shape).astype(float), rng.random(shape)
    found = vae.log_likelihood(td.tensor(logits), td.tensor(black_and_white))
    expected = scipy.stats.bernoulli.logpmf(black_and_white, sigmoid(logits)).sum((1, 2, 3))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)
    found = vae.log_likelihood(td.tensor(logits), td.tensor(grey), td.tensor(np.log(0.3)))
    expected = scipy.stats.norm.logpdf(grey, sigmoid(logits), 0.3).sum((1, 2, 3))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)


def test_of_greys_bernoullis_is_the_mean_over_pictures_in_black_and_white():
    logits, grey = rng.normal(size=(1, 1, 1, 3)), np.array([0.2, 0.9, 0.5]).reshape(1, 1, 1, 3)
    expected = 0
    for bits in np.ndindex(2, 2, 2):
        picture = np.reshape(bits, grey.shape)
        share = np.where(picture, grey, 1 - grey).prod()
        log_p = vae.log_likelihood(td.tensor(logits), td.tensor(picture.astype(float)))
        expected += share * log_p.item()
    found = vae.log_likelihood(td.tensor(logits), td.tensor(grey)).item()
    assert found == pytest.approx(expected, rel=1e-12)


class Linear:
    """Pixels x = b + w z + noise: a model whose evidence log p(x) is known.

    slip, stretch: by how many standard deviations, and how many times, the encoder's normal
        distribution differs from the true posterior
    """

    b, sigma = np.array([0.5, 0.45, 0.6, 0.55]), 0.05
    w = np.array([[0.03, 0.01], [0.02, -0.04], [-0.02, 0.01], [0.01, 0.02]])
    w[:, 1] -= w[:, 0] * (w[:, 0] @ w[:, 1]) / (w[:, 0] @ w[:, 0])  # so its posterior is a product

    def __init__(self, slip=0.0, stretch=1.0):
        self.slip, self.stretch = slip, stretch
        self.log_sigma = td.tensor(np.log(self.sigma))

    def evidence(self, x):
        spread = self.w @ self.w.T + self.sigma**2 * np.eye(4)
        return scipy.stats.multivariate_normal.logpdf(x, self.b, spread)

    def excess(self):
        """KL of the encoder's distribution from the posterior."""
        each = (self.slip**2 + self.stretch**2 - 1) / 2 - np.log(self.stretch)
        return 2 * each

    def __call__(self, images):
        x = (images.numpy().reshape(len(images), 4) + 1) / 2
        precision = 1 + (self.w**2).sum(0) / self.sigma**2
        deviation = np.broadcast_to(precision**-0.5, (len(x), 2))
        mean = (x - self.b) @ self.w / self.sigma**2 / precision + self.slip * deviation
        deviation = self.stretch * deviation
        z = mean + deviation * rng.standard_normal(mean.shape)
        pixels = self.b + z @ self.w.T
        logits = np.log(pixels / (1 - pixels)).reshape(images.shape)
        return td.tensor(logits), td.tensor(mean), td.tensor(2 * np.log(deviation))


@pytest.mark.parametrize("slip, stretch", [(0, 1), (0.5, 1), (0, 1.5), (-1, 0.7)])
def test_the_bound_is_the_evidence_less_how_far_the_encoder_is_off(slip, stretch):
    model, x = Linear(slip, stretch), np.array([0.52, 0.4, 0.63, 0.5])
    images = np.tile(2 * x.reshape(1, 1, 2, 2) - 1, (20_000, 1, 1, 1))
    fit, off, _ = vae.bound(model, td.tensor(images))
    draws = fit.numpy() - off.numpy().sum(1)
    expected, error = model.evidence(x) - model.excess(), draws.std() / len(draws) ** 0.5
    assert abs(draws.mean() - expected) < 5 * error and 5 * error < 0.06
    assert draws.mean() < model.evidence(x) + 5 * error


# ---------------------------------------------------------------- the network


@pytest.mark.parametrize("classes", [0, 4])
@pytest.mark.parametrize("channels, side", [((5, 4, 3), 32), ((6, 5, 4, 3), 64)])
def test_shapes(channels, side, classes):
    model = VAE(7, channels, 3, classes)
    labels = [td.tensor([0, 3])] if classes else []
    logits, mean, log_variance = model(td.rand(2, 3, side, side) * 2 - 1, *labels)
    assert logits.shape == (2, 3, side, side)
    assert mean.shape == log_variance.shape == (2, 7)


@pytest.mark.parametrize("classes", [0, 4])
def test_the_decoder_is_a_gans_generator(classes):
    model, z = tiny(classes), td.tensor(rng.normal(size=(5, 3)))
    labels = [td.tensor([0, 1, 2, 3, 3])] if classes else []
    assert type(model.decoder) is Generator
    for network in (model, model.eval()):
        pixels, tanh = network.decode(z, *labels).sigmoid(), network.decoder(z, *labels)
        np.testing.assert_allclose(array(pixels), (array(tanh) + 1) / 2, rtol=1e-12)


def test_a_code_is_drawn_from_the_encoders_normal_distribution(monkeypatch):
    """z = mean + deviation * noise, and its slopes: 1, and noise * deviation / 2."""
    model, images = tiny().eval(), td.tensor(rng.uniform(-1, 1, (2, 1, 8, 8)))
    monkeypatch.setattr(model, "decode", lambda z, labels: z)
    td.manual_seed(5)
    z, mean, log_variance = model(images)
    td.manual_seed(5)
    noise = td.randn(2, 3, dtype="float64").numpy()
    deviation = np.exp(array(log_variance) / 2)
    np.testing.assert_allclose(array(z), array(mean) + deviation * noise, rtol=1e-12)
    slopes = td.grad(z.sum(), (mean, log_variance))
    np.testing.assert_allclose(slopes[0].numpy(), np.ones((2, 3)))
    np.testing.assert_allclose(slopes[1].numpy(), deviation * noise / 2, rtol=1e-12)
    assert (array(model(images)[0]) != array(z)).all()  # another draw each time


@pytest.mark.parametrize("likelihood", vae.LIKELIHOODS)
def test_gradients_of_the_bound_are_its_differences(likelihood):
    """The directional derivative in each parameter, the noise being the same."""
    model = tiny(3, likelihood)
    images, labels = td.tensor(rng.uniform(-1, 1, (4, 1, 8, 8))), td.tensor([0, 2, 1, 2])

    def loss():
        td.manual_seed(1)
        fit, off, _ = vae.bound(model, images, labels)
        return -fit.mean() + 0.7 * off.sum(1).mean()

    gradients = dict(zip(dict(model.named_parameters()), td.grad(loss(), [*model.parameters()])))
    assert ("log_sigma" in gradients) == (likelihood == "gaussian")
    for name, w in model.named_parameters():
        old, direction = w.data.copy(), rng.normal(size=w.shape)
        ends = []
        for step in (1e-6, -1e-6):
            w.data = old + step * direction
            ends.append(loss().item())
        w.data = old
        expected = (gradients[name].numpy() * direction).sum()
        assert expected != 0, name
        found = (ends[0] - ends[1]) / 2e-6
        assert found == pytest.approx(expected, rel=1e-5, abs=1e-5), name


def test_labels_count_on_both_sides():
    model = tiny(3).eval()
    images, z = td.tensor(rng.uniform(-1, 1, (1, 1, 8, 8))), td.tensor(rng.normal(size=(1, 3)))
    for function, x in ((model.encode, images), (model.decode, z)):
        found = [function(x, td.tensor([label])) for label in range(3)]
        found = [y[0] if isinstance(y, tuple) else y for y in found]
        assert len({array(y).tobytes() for y in found}) == 3


@pytest.mark.parametrize("model", [VAE(2, (4, 3), 3, 2, "gaussian"), VAE(5, (4, 3))])
def test_a_network_comes_back_from_its_file(tmp_path, model):
    models.save(model, tmp_path / "w.safetensors")
    again = models.load(tmp_path / "w.safetensors", VAE)
    assert again.config == model.config
    assert {n: x.tobytes() for n, x in numbers(again).items()} == {
        n: x.tobytes() for n, x in numbers(model).items()
    }


# ---------------------------------------------------------------- a step


@pytest.mark.parametrize("likelihood", vae.LIKELIHOODS)
@pytest.mark.parametrize("name", RECIPES)
def test_the_parts_of_a_step(name, likelihood):
    """Both by loops, from what the network says."""
    training = vae.build(None, small(name, likelihood=likelihood), "cpu")
    images, labels = training.loader.data.batch(0, range(4))
    model, state = training.networks["vae"], td.get_rng_state()
    asked = [td.tensor(labels)] if model.config["classes"] else []
    told = model(td.tensor(images.astype(np.float32) / 127.5 - 1), *asked)
    logits, mean, log_variance = (array(x).astype(float) for x in told)
    sigma, fit, off = 0.2, 0, 0
    for i in range(4):
        for x, s in zip(images[i].ravel() / 255, logits[i].ravel()):
            p = sigmoid(s)
            if likelihood == "bernoulli":
                fit += x * np.log(p) + (1 - x) * np.log(1 - p)
            else:
                fit += np.log(np.exp(-(((x - p) / sigma) ** 2) / 2) / (sigma * (2 * np.pi) ** 0.5))
        for m, s in zip(mean[i], log_variance[i]):
            off += (m**2 + np.exp(s) - s - 1) / 2
    td.set_rng_state(state)
    losses = training.update(images, labels)
    assert losses["reconstruction"].item() == pytest.approx(-fit / 4, rel=1e-5)
    assert losses["divergence"].item() == pytest.approx(off / 4, rel=1e-4)


def test_beta_weighs_the_divergence():
    """The gradient by which a step goes is affine in beta."""
    found = {}
    for beta in (0.0, 1.0, 3.0):
        td.manual_seed(0)
        training = vae.build(None, small(beta=beta), "cpu")
        training.update(*training.loader.data.batch(0, range(4)))
        found[beta] = training.networks["vae"].log_variance.weight.grad.numpy()
    assert abs(found[1.0] - found[0.0]).max() > 1e-3
    np.testing.assert_allclose(
        found[3.0] - found[0.0], 3 * (found[1.0] - found[0.0]), rtol=1e-3, atol=1e-5
    )


def test_without_the_divergence_codes_are_far_apart_and_with_it_alone_they_say_nothing():
    """What beta is for, after few steps of a small network."""
    spread = {}
    for beta in (0.0, 1000.0):
        td.manual_seed(0)
        training = vae.build(None, small(beta=beta, steps=20, lr=0.01, batch_size=8), "cpu")
        for batch in training._batches():
            training._take_step(batch)
        *_, off, _ = vae.evaluated(
            training.networks["vae"], *training.loader.data.batch(1, range(50))
        )
        spread[beta] = off.sum(1).mean()
    assert 10 * spread[1000.0] < spread[0.0]


def test_the_settings_choose_the_network_and_its_rate():
    settings = small(latent=7, size=64, classes=10, likelihood="gaussian", lr=0.3)
    training = vae.build(None, settings, "cpu")
    model = training.networks["vae"]
    assert model.config == {
        "latent": 7, "channels": [10, 5, 4, 3], "in_channels": 1, "classes": 10,
        "likelihood": "gaussian",
    }  # fmt: skip
    assert model.decoder is training.networks["generator"]
    for part in (1, 0.5):  # down a cosine
        (group,) = training.optimizers["vae"].param_groups
        assert group["lr"] == pytest.approx(part * 0.3)
        training._take_step(next(training.loader.batches(0)))


# ---------------------------------------------------------------- a training


@pytest.mark.parametrize("name, more", [("vae", {"likelihood": "gaussian"}), ("cvae", {})])
def test_two_steps_and_two_more_are_four(tmp_path, name, more):
    """A training that was interrupted ends with the same bits."""
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


@pytest.mark.parametrize(
    "name, more, extra",
    [
        ("vae", {"latent": 2, "likelihood": "gaussian"}, {"map.png", "codes.png"}),
        ("vae", {}, set()),
        ("cvae", {"latent": 2}, set()),
    ],
)
def test_a_training_leaves_pictures_weights_and_figures(tmp_path, monkeypatch, name, more, extra):
    monkeypatch.setattr(gan, "MEASURED", 100)
    monkeypatch.setattr(gan, "KNOWN", 50)
    training = common.start(name, tmp_path, small(name, **more))
    table = vae.train(training)
    pictures = {f.name for f in tmp_path.glob("*.png")} - {"samples-1.png", "samples-2.png"}
    assert pictures == extra | {"samples.png", "losses.png", "reconstructions.png", "walk.png"}
    model = training.networks["vae"]
    for kind, file, network in (
        (VAE, "vae.safetensors", model), (Generator, "generator.safetensors", model.decoder)
    ):  # fmt: skip
        there = numbers(models.load(tmp_path / file, kind))
        assert all(np.array_equal(there[key], x) for key, x in numbers(network).items())
    results = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert results["training"]["recipe"] == name
    images, labels = data.Glyphs(seed=gan.MEASURED_SEED).batch(0, range(100))
    fit, off, mean = vae.evaluated(model, images, labels)
    expected = {
        "ELBO of 100 images that it has not seen, in nats": fit.mean() - off.sum(1).mean(),
        "their log-likelihood, given the code": fit.mean(),
        "KL divergence of their codes from the prior": off.sum(1).mean(),
    }
    for what, number in expected.items():
        assert results[what] == pytest.approx(number, rel=1e-5)
        assert f"{what:61}{results[what]:10.3f}" in table.splitlines()
    assert ("standard deviation of a pixel" in results) == bool(more.get("likelihood"))
    assert 0 <= results["reconstructions read as what they are of"] <= 1
    assert ("read as asked" in results["scores"]["samples"]) == (name == "cvae")


def test_measuring_changes_nothing_and_is_the_same_each_time():
    model, images = VAE(3, (5, 4, 3)), data.Glyphs().batch(0, range(7))[0]
    before, state = numbers(model), td.get_rng_state()
    found = [vae.evaluated(model, images, None) for _ in range(2)]
    assert all(np.array_equal(a, b) for a, b in zip(*found))
    assert [x.shape for x in found[0]] == [(7,), (7, 3), (7, 3)]
    assert model.training and td.get_rng_state() == state
    assert all(np.array_equal(before[name], x) for name, x in numbers(model).items())


def test_what_is_measured_in_parts_is_what_is_measured_at_once(monkeypatch):
    model = VAE(3, (5, 4, 3), classes=10)
    images, labels = data.Glyphs().batch(0, range(7))
    codes = rng.normal(size=(7, 3)).astype(np.float32)
    whole = vae.decoded(model, codes, labels), vae.evaluated(model, images, labels)[2]
    monkeypatch.setattr(vae, "BATCH", 3)
    parts = vae.decoded(model, codes, labels), vae.evaluated(model, images, labels)[2]
    for a, b in zip(whole, parts):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_the_generators_file_paints_what_the_decoder_means(tmp_path):
    model = VAE(3, (5, 4, 3), classes=10)
    models.save(model.decoder, tmp_path / "generator.safetensors")
    painter = models.load(tmp_path / "generator.safetensors", Generator)
    td.manual_seed(3)
    codes = td.randn(20, 3).numpy()
    found = vae.decoded(model, codes, np.arange(20) % 10)
    np.testing.assert_allclose(samples(painter, 20, seed=3), found, rtol=1e-5, atol=1e-6)


# ---------------------------------------------------------------- data


def test_what_is_measured_on_was_never_learned_from(monkeypatch):
    learned, images, labels = vae.divided(small("cvae", data="digits"))
    assert len(learned) == 1437 and len(images) == len(labels) == 360
    assert np.bincount(labels).min() > 20
    known = {x.tobytes() for x in learned.images}
    assert sum(x.tobytes() in known for x in images) == 0
    monkeypatch.setattr(gan, "MEASURED", 30)
    learned, images, labels = vae.divided(small(seed=4))
    assert learned.seed == 4
    expected = data.Glyphs(seed=4 + gan.MEASURED_SEED).batch(0, range(30))
    assert all(np.array_equal(a, b) for a, b in zip((images, labels), expected))
    assert len(vae.divided(small(data="digits"))[1]) == 30


def test_ones_own_few_images_in_colour(tmp_path):
    for i in range(6):
        pixels = rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)
        (tmp_path / "mine").mkdir(exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "mine" / f"{i}.png")
    mine = small(data=str(tmp_path / "mine"), colour=True)
    training = common.start("vae", tmp_path / "run", mine)
    table = vae.train(training)
    assert "ELBO of 2 images" in table and "read as" not in table
    assert training.networks["vae"].config["in_channels"] == 3


# ---------------------------------------------------------------- pictures


class Shades:
    """Stands in for a network: the first number of a code is a shade of grey."""

    def __init__(self, classes=0):
        self.config, self.training = {"classes": classes}, False

    def eval(self):
        return self

    train = lambda self, mode: self  # noqa: E731

    def decode(self, z, *labels):
        shade = z[:, 0].reshape(-1, 1, 1, 1).expand(len(z), 1, 2, 2)
        return td.log(shade / (1 - shade))


@pytest.mark.parametrize("classes", [0, 3])
def test_a_walk_goes_straight_from_one_image_to_another(classes):
    labels = np.arange(40) % 3
    mean = rng.uniform(0.1, 0.9, (40, 1)).astype(np.float32)
    pixels = np.broadcast_to(mean.reshape(40, 1, 1, 1) / 2, (40, 1, 2, 2))
    rows = vae.walks(Shades(classes), pixels, mean, labels).reshape(-1, vae.COLUMNS, 4)
    pairs = [(0, 3), (1, 4), (2, 5)] if classes else [(2 * i, 2 * i + 1) for i in range(10)]
    assert len(rows) == len(pairs)
    for row, (a, b) in zip(rows, pairs):
        between = np.linspace(mean[a], mean[b], 8)[:, 0]
        expected = np.concatenate([mean[a] / 2, between, mean[b] / 2])
        np.testing.assert_allclose(row, np.tile(expected[:, None], 4), rtol=1e-5)


def test_where_there_are_no_two_images_there_is_no_walk():
    one = np.ones((1, 1, 2, 2), np.float32)
    assert len(vae.walks(Shades(), one, one[:, :, 0, 0], np.zeros(1, int))) == 0
    assert len(vae.walks(Shades(2), one, one[:, :, 0, 0], np.zeros(1, int))) == 0


def test_the_map_has_the_priors_quantiles(monkeypatch):
    codes = []
    monkeypatch.setattr(vae, "decoded", lambda model, z, labels: codes.append(z))
    vae.latent_map(None)
    z = codes[0].reshape(vae.MAP, vae.MAP, 2)
    steps = (np.arange(vae.MAP) + 0.5) / vae.MAP
    np.testing.assert_allclose(scipy.stats.norm.cdf(z[0, :, 0]), steps, atol=1e-6)
    np.testing.assert_allclose(scipy.stats.norm.cdf(z[::-1, 0, 1]), steps, atol=1e-6)
    assert (z[:, :, 0] == z[0, :, 0]).all() and (z[:, 0, 1] == z[:, :, 1].T).all()


def test_points_are_drawn_as_their_labels(tmp_path):
    figure = viz.scatter(tmp_path / "p.png", [(0, 1), (2, 3), (4, 5)], [7, 1, 7], ("a", "b"))
    (axis,) = figure.axes
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("a", "b")
    drawn = {line.get_marker(): line.get_xydata().tolist() for line in axis.lines}
    assert drawn == {"$1$": [[2, 3]], "$7$": [[0, 1], [4, 5]]}
    assert Image.open(tmp_path / "p.png").size[0] >= 300
    with refused(ValueError, "(3, 3)", "(3,)"):
        viz.scatter(None, np.zeros((3, 3)), [0, 1, 2])


def test_how_many_are_read_with_which_probability(monkeypatch):
    best = np.array([0.3, 0.5, 0.89, 0.91, 1])
    p = np.tile((1 - best[:, None]) / 9, 10)
    p[:, 4] = best
    answers = iter([p, np.eye(10)[np.arange(40) % 10]])

    def read(images):
        return next(answers), rng.normal(size=(len(images), 64))

    monkeypatch.setattr(scores, "read", read)
    told = scores.scores(*(rng.uniform(-1, 1, (n, 1, 32, 32)) for n in (5, 40)))
    assert told["read with probability 0.5 or more"] == 0.8
    assert told["read with probability 0.9 or more"] == 0.4


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    "more, words",
    [
        ({"batch_size": 1}, ["batch_size", "2", "1"]),
        ({"latent": 0}, ["latent", "1", "0"]),
        ({"likelihood": "laplace"}, ["likelihood", "bernoulli", "gaussian", "laplace"]),
        ({"beta": -0.5}, ["beta", "-0.5"]),
        ({"beta": float("nan")}, ["beta", "nan"]),
        ({"size": 48}, ["size", "32", "64", "48"]),
        ({"channels": (4, 3)}, ["three channels", "(4, 3)"]),
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
        ({"data": "digits", "batch_size": 1700}, ["batch_size", "1437", "1700"]),
    ],
)
def test_data_that_cannot_be(tmp_path, more, words):
    with refused(ValueError, *words):
        common.start("vae", tmp_path / "run", small(**more))
    assert not (tmp_path / "run").exists()


def test_networks_and_images_that_cannot_be():
    with refused(ValueError, "bernoulli", "gaussian", "'poisson'"):
        VAE(likelihood="poisson")
    with refused(ValueError, "channels"):
        VAE(channels=())
    with refused(ValueError, "8 pixels a side", "(2, 1, 16, 8)"):
        tiny()(td.zeros(2, 1, 16, 8))
    with refused(ValueError, "VAE of 3 classes", "labels"):
        tiny(3)(td.zeros(2, 1, 8, 8, dtype="float64"))
    with refused(ValueError, "VAE without classes", "labels"):
        tiny()(td.zeros(2, 1, 8, 8, dtype="float64"), td.tensor([0, 1]))
    with refused(IndexError, "3"):
        tiny(3)(td.zeros(2, 1, 8, 8, dtype="float64"), td.tensor([0, 3]))


def test_weights_of_another_kind_are_refused(tmp_path):
    models.save(VAE(3, (4, 3)), tmp_path / "vae.safetensors")
    with refused(ValueError, "Generator", "VAE"):
        models.load(tmp_path / "vae.safetensors", Generator)
