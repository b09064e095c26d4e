"""The gradient penalty, a step of critic and generator, and the training of both."""

import json
from dataclasses import replace

import numpy as np
import pytest
from refusals import refused

import tinydeconv as td
from tinydeconv import models, nn, ops, optim
from tinydeconv.recipes import common, gan, wgan
from tinydeconv.recipes.wgan import RECIPES, between, penalty, steepness

rng = np.random.default_rng(0)
SMALL = {
    "steps": 2, "batch_size": 4, "latent": 5, "channels": (6, 4, 3), "judges": (3, 4, 6),
    "critic_steps": 3,
}  # fmt: skip


def small(**more):
    return replace(RECIPES["wgan"], **{**SMALL, **more})


def game(seed=0, **more):
    """A small training's networks and optimisers, and a batch."""
    settings = small(**more)
    td.manual_seed(seed)
    training = wgan.build(None, settings, "cpu")
    return training, training.loader.data.batch(0, range(training.loader.batch_size))


def numbers(network):
    return {name: x.numpy().copy() for name, x in network.state_dict().items()}


# ---------------------------------------------------------------- the penalty


class Linear(nn.Module):
    """f(x) = <w, x> + b"""

    def __init__(self, w, b=3.0):
        self.w, self.b = nn.Parameter(td.tensor(w)), nn.Parameter(td.tensor(b))

    def forward(self, x):
        return (self.w * x).sum((1, 2, 3)) + self.b


def test_of_a_linear_critic_all_is_known():
    """The gradient is w everywhere, so the penalty is (|w| - 1)^2, and its gradient is
    2 (|w| - 1) w / |w|, whatever the pictures are.
    """
    w = rng.standard_normal((1, 3, 3))
    critic, images = Linear(w), td.tensor(rng.standard_normal((5, 1, 3, 3)))
    norms = steepness(critic, images)
    length = np.sqrt(np.sum(w**2))
    np.testing.assert_allclose(norms.detach().numpy(), np.full(5, length), rtol=1e-14)
    loss = penalty(norms)
    assert loss.item() == pytest.approx((length - 1) ** 2, rel=1e-14)
    loss.backward()
    expected = 2 * (length - 1) * w / length
    np.testing.assert_allclose(critic.w.grad.numpy(), expected, rtol=1e-12)
    assert critic.b.grad is None or critic.b.grad.item() == 0  # it moves no slope


def test_too_flat_is_as_wrong_as_too_steep():
    assert penalty(td.tensor([0.5, 1.5, 1.0])).item() == pytest.approx(1 / 6)


def test_a_critic_without_any_slope_has_a_finite_gradient():
    critic = Linear(np.zeros((1, 3, 3)))
    loss = penalty(steepness(critic, td.tensor(rng.standard_normal((2, 1, 3, 3)))))
    loss.backward()
    assert loss.item() == 1 and not critic.w.grad.numpy().any()


def test_the_norms_are_those_of_each_picture_alone():
    """Against central differences of one picture's number."""
    td.manual_seed(0)
    critic = models.Discriminator((2,), 1, batch_norm=False).double()
    images = rng.standard_normal((3, 1, 8, 8))
    norms = steepness(critic, td.tensor(images)).detach().numpy()
    for image, norm in zip(images, norms):
        slopes = []
        for place in np.ndindex(image.shape):
            ends = []
            for step in (1e-6, -1e-6):
                moved = image.copy()
                moved[place] += step
                ends.append(critic(td.tensor(moved[None])).item())
            slopes.append((ends[0] - ends[1]) / 2e-6)
        assert norm == pytest.approx(np.sqrt(np.sum(np.square(slopes))), rel=1e-6)


@pytest.mark.parametrize("classes", [0, 3])
def test_the_gradient_of_the_penalty_by_finite_differences(classes):
    """Of every weight of a convolutional critic: the derivative of a derivative."""
    td.manual_seed(0)
    critic = models.Discriminator((2, 3), 2, classes, batch_norm=False).double()
    for p in critic.parameters():
        p.data *= 20  # slopes near 1
    images = td.tensor(rng.standard_normal((3, 2, 16, 16)))
    asked = [td.tensor([0, 2, 2])] if classes else []

    def loss():
        return penalty(steepness(critic, images, *asked))

    loss().backward()
    for name, p in critic.named_parameters():
        found = np.zeros(p.shape) if p.grad is None else p.grad.numpy()
        places = [*np.ndindex(p.shape)]
        for place in [places[i] for i in rng.permutation(len(places))[:12]]:
            ends, before = [], p.data[place]
            for step in (1e-6, -1e-6):
                p.data[place] = before + step
                ends.append(loss().item())
            p.data[place] = before
            slope = (ends[0] - ends[1]) / 2e-6
            assert found[place] == pytest.approx(slope, rel=1e-5, abs=1e-8), (name, place)


def test_the_penalty_is_no_step_for_the_pictures():
    """They are where the slope is measured, not what is moved: a cube without weights has none."""
    images = td.tensor(rng.standard_normal((2, 1, 3, 3)), requires_grad=True)
    norms = steepness(lambda x: (x**3).sum((1, 2, 3)), images)
    expected = np.linalg.norm(3 * images.detach().numpy().reshape(2, -1) ** 2, axis=1)
    np.testing.assert_allclose(norms.detach().numpy(), expected, rtol=1e-12)
    penalty(norms).backward()
    assert images.grad is None


def test_the_places_lie_between_real_and_fake():
    td.manual_seed(0)
    real, fake = (td.tensor(rng.standard_normal((200, 2, 3, 3))) for _ in range(2))
    part = ((between(real, fake) - real) / (fake - real)).numpy().reshape(200, -1)
    np.testing.assert_allclose(part, part[:, :1].repeat(18, 1), atol=1e-9)  # on the line ...
    part = part[:, 0]
    assert 0 <= part.min() < 0.05 and 0.95 < part.max() <= 1  # ... between its ends, everywhere
    assert abs(part.mean() - 0.5) < 0.06 and len(set(part)) == 200  # and each at its own place


# ---------------------------------------------------------------- the distance


@pytest.mark.parametrize("weight", [10, 0])
def test_the_estimate_is_near_the_distance_only_with_the_penalty(weight):
    """Two bumps of four pixels each, shifted by 1 in each pixel, so that their distance W is 2.

    With a linear critic the loss is smallest at a slope of 1 + W / (2 weight), a little above 1.
    (On a line it could end at a slope of -1 too: no way leads around 0.)
    """
    td.manual_seed(0)
    critic = nn.Sequential(
        nn.Flatten(), nn.Linear(4, 16), nn.LeakyReLU(0.2), nn.Linear(16, 1), nn.Flatten(0)
    )
    optimizer, settings = optim.Adam(critic.parameters(), 1e-2, (0, 0.9)), small(penalty=weight)
    found = []
    for _ in range(250):
        real, fake = ops.randn(64, 1, 2, 2) + 1, ops.randn(64, 1, 2, 2)
        told = wgan._teach(critic, optimizer, settings, real, fake, [])
        found.append([told["wasserstein"].item(), told["gradient norm"].item()])
    distance, norm = np.mean(found[-50:], 0)
    if weight:
        assert distance == pytest.approx(2 * (1 + 2 / (2 * weight)), abs=0.2)
        assert norm == pytest.approx(1 + 2 / (2 * weight), abs=0.1)
    else:
        assert distance > 20 and norm > 10  # nothing holds it


# ---------------------------------------------------------------- the networks


@pytest.mark.parametrize("size", [32, 64])
def test_the_critic_has_no_batch_norm_and_the_generator_has(size):
    networks = wgan.networks(small(size=size, classes=10), 3)
    kinds = {
        name: {type(layer).__name__ for layer in network.modules()}
        for name, network in networks.items()
    }
    assert "BatchNorm2d" not in kinds["critic"] and "BatchNorm2d" in kinds["generator"]
    assert networks["critic"].side == networks["generator"].side == size
    assert networks["critic"].config["classes"] == networks["generator"].config["classes"] == 10


def test_the_first_weights_keep_the_size_of_a_picture():
    """He et al. 2015: the variance is 2 / ((1 + 0.2^2) fan in), of LeakyReLU's slope 0.2."""
    critic = wgan.networks(RECIPES["wgan"], 1)["critic"]
    layers = [layer for layer in critic.modules() if hasattr(layer, "weight")]
    assert len(layers) == 4
    for layer in layers:
        w = layer.weight.detach().numpy()
        expected = np.sqrt(2 / 1.04 / w[0].size)
        assert w.std() == pytest.approx(expected, rel=4 / np.sqrt(w.size)), layer
        assert not layer.bias.detach().numpy().any()


def test_a_number_depends_on_its_own_picture_alone():
    critic = wgan.networks(small(), 1)["critic"]
    images = td.randn(4, 1, 32, 32)
    alone = [critic(images[i : i + 1]).item() for i in range(4)]
    np.testing.assert_allclose(critic(images).detach().numpy(), alone, rtol=1e-4, atol=1e-7)


# ---------------------------------------------------------------- a step


def recorded(training, batch, monkeypatch):
    """[(whose step, {name: changed by it?})] of one update, and the noise that was drawn."""
    found, noise = [], []
    for name, optimizer in training.optimizers.items():

        def step(name=name, real=optimizer.step):
            before = {of: numbers(net) for of, net in training.networks.items()}
            real()
            found.append((name, {
                of: any((numbers(net)[n] != x).any() for n, x in before[of].items())
                for of, net in training.networks.items()
            }))  # fmt: skip

        monkeypatch.setattr(optimizer, "step", step)
    randn = ops.randn

    def noted(*size, **options):
        noise.append(randn(*size, **options))
        return noise[-1]

    monkeypatch.setattr(ops, "randn", noted)
    training.update(*batch)
    return found, noise


@pytest.mark.parametrize("critic_steps", [1, 4])
def test_the_critic_steps_so_often_with_new_noise_each_time(monkeypatch, critic_steps):
    training, batch = game(critic_steps=critic_steps, classes=10)
    assert len(batch[0]) == 4 * critic_steps
    found, noise = recorded(training, batch, monkeypatch)
    only_critic = {"generator": False, "critic": True}
    assert found == [("critic", only_critic)] * critic_steps + [
        ("generator", {"generator": True, "critic": False})
    ]
    assert len({z.numpy().tobytes() for z in noise}) == critic_steps + 1
    assert {z.shape for z in noise} == {(4, 5)}


def test_each_step_of_the_critic_has_its_own_share_of_the_images(monkeypatch):
    training, (images, labels) = game(classes=10)
    seen, real = [], wgan._teach
    monkeypatch.setattr(wgan, "_teach", lambda *of: seen.append(of[3:]) or real(*of))
    training.update(images, labels)
    reals = np.concatenate([x.numpy() for x, _, _ in seen])
    expected = images.astype(np.float32) / 127.5 - 1
    assert {x.tobytes() for x in reals.round(4)} == {x.tobytes() for x in expected.round(4)}
    of_label = {x.round(4).tobytes(): y for x, y in zip(expected, labels)}
    for x, fake, (asked,) in seen:
        assert not fake.requires_grad
        assert [of_label[image.tobytes()] for image in x.numpy().round(4)] == asked.tolist()


def test_the_losses_of_a_step():
    """Those of a step of the critic, from networks and noise that are the same, by hand."""
    training, (images, labels) = game(critic_steps=1)
    again, _ = game(critic_steps=1)
    state = td.get_rng_state()
    losses = training.update(images, labels)
    td.set_rng_state(state)
    generator, critic = (again.networks[name] for name in ("generator", "critic"))
    real = td.tensor(images.astype(np.float32) / 127.5 - 1)
    fake = generator(td.randn(4, 5)).detach()
    f = critic(real).detach().numpy().mean() - critic(fake).detach().numpy().mean()
    assert losses["wasserstein"].item() == pytest.approx(f, rel=1e-4, abs=1e-8)
    norms = steepness(critic, real + td.rand(4, 1, 1, 1) * (fake - real)).detach().numpy()
    assert losses["gradient norm"].item() == pytest.approx(norms.mean(), rel=1e-4)
    assert losses["penalty"].item() == pytest.approx(np.mean((norms - 1) ** 2), rel=1e-4)
    critic.load_state_dict(training.networks["critic"].state_dict())
    painted = critic(generator(td.randn(4, 5))).detach().numpy()
    assert losses["generator"].item() == pytest.approx(-painted.mean(), rel=1e-4)


def test_the_settings_choose_rates_and_moments():
    training, _ = game(generator_lr=0.3, critic_lr=0.1, beta1=0.25, beta2=0.75)
    for name, rate in {"generator": 0.3, "critic": 0.1}.items():
        (group,) = training.optimizers[name].param_groups
        assert group["lr"] == pytest.approx(rate) and group["betas"] == (0.25, 0.75)


def test_without_a_weight_the_penalty_changes_nothing(monkeypatch):
    def steps(**more):
        training, batch = game(**more)
        training.update(*batch)
        return numbers(training.networks["critic"])

    free, held = steps(penalty=0.0), steps()
    assert any((free[name] != held[name]).any() for name in free)
    monkeypatch.setattr(wgan, "penalty", lambda norms: norms.mean() * 0)
    for name, x in steps().items():
        np.testing.assert_array_equal(x, free[name])


# ---------------------------------------------------------------- a training


@pytest.mark.parametrize("more", [{}, {"classes": 10, "critic_steps": 2, "data": "digits"}])
def test_two_steps_and_two_more_are_four(tmp_path, more):
    whole = common.start("wgan", tmp_path / "whole", small(**more, steps=4))
    whole.run()
    part = common.start("wgan", tmp_path / "part", small(**more, steps=4))
    part.steps = 2
    part.run()
    td.randn(3)  # the random numbers are the checkpoint's, not what others left
    again = common.resume("wgan", tmp_path / "part")
    assert again.step == 2
    again.run()
    assert again.losses == whole.losses
    states = [(tmp_path / run / "checkpoint.safetensors").read_bytes() for run in ("whole", "part")]
    assert states[0] == states[1]


@pytest.mark.parametrize("classes", [0, 10])
def test_a_training_leaves_pictures_weights_and_scores(tmp_path, monkeypatch, classes):
    monkeypatch.setattr(gan, "MEASURED", 100)
    monkeypatch.setattr(gan, "KNOWN", 50)
    monkeypatch.setattr(wgan, "LAST", 2)
    training = common.start("wgan", tmp_path, small(steps=3, classes=classes))
    table = wgan.train(training)
    pictures = {f.name for f in tmp_path.glob("*.png")}
    assert pictures >= {"samples-1.png", "samples-3.png", "samples.png", "wasserstein.png"}
    models.load(tmp_path / "generator.safetensors", models.Generator)
    norms = training.losses["gradient norm"]
    what, expected = "norm of the critic's gradient, mean of the last 2 steps", np.mean(norms[1:])
    results = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert results[what] == pytest.approx(expected, rel=1e-12)
    assert f"{what:61}{expected:10.3f}" in table.splitlines()
    assert ("read as asked" in results["scores"]["samples"]) == bool(classes)
    text = (tmp_path / "metrics.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(row) for row in text.splitlines()]
    assert {"wasserstein", "penalty", "gradient norm", "generator"} <= rows[-1].keys()


def test_the_images_seen_are_those_of_all_steps_of_the_critic(tmp_path, monkeypatch):
    """The nearest training image is sought among 2 steps of 3 times 4 images."""
    compared = []
    monkeypatch.setattr(gan, "MEASURED", 20)
    monkeypatch.setattr(gan, "measured", lambda *given: compared.append(given) or {})
    wgan.train(common.start("wgan", tmp_path, small()))
    assert [len(known) for _, _, known, *_ in compared] == [24, 24]


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    "more, words",
    [
        ({"critic_steps": 0}, ["critic_steps", "1", "0"]),
        ({"penalty": -1.0}, ["penalty", "-1.0"]),
        ({"batch_size": 1}, ["batch_size", "2", "1"]),
        ({"beta2": 1.0}, ["beta2", "1.0"]),
        ({"judges": (4, 3)}, ["channels", "3", "(4, 3)"]),
        ({"activation": "gelu"}, ["activation", "prelu", "gelu"]),
    ],
)
def test_settings_that_cannot_be(more, words):
    with refused(ValueError, *words):
        small(**more)


def test_fewer_images_than_a_step_takes(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for i in range(5):
        td.data.write_image(folder / f"{i}.png", rng.random((40, 40), np.float32))
    with refused(ValueError, "12 images", "3 times", "5"):
        common.start("wgan", tmp_path / "run", small(data=str(folder)))
    assert not (tmp_path / "run").exists()


def test_an_overflow_names_itself(tmp_path):
    training = common.start("wgan", tmp_path, small(steps=9, critic_lr=1e20))
    with pytest.raises(FloatingPointError, match="overflowed"):
        training.run()
