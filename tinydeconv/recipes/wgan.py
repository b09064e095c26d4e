"""A generator and a critic that measures how far its pictures are from the data's: the Wasserstein
GAN (Arjovsky, Chintala and Bottou 2017) with a gradient penalty (Gulrajani et al. 2017).

The critic f gives a picture a number of any size, without a sigmoid. If |f(a) - f(b)| is never more
than the distance |a - b|, then mean f(real) - mean f(fake) is at most the Wasserstein-1 distance of
the two distributions, and for the best f it is that distance. The penalty asks for a gradient of
norm 1 in the pictures, and learning from it takes the derivative of a derivative.
"""

from dataclasses import dataclass

import numpy as np

import tinydeconv as td
from tinydeconv import models, nn, ops, viz
from tinydeconv.recipes import gan
from tinydeconv.recipes.common import check, option
from tinydeconv.recipes.learned import device_of
from tinydeconv.recipes.scores import centred

LAST = 200  # steps, over which the table's gradient norm is the mean


@dataclass(frozen=True)
class Settings(gan.Pictures):
    """Everything that a training depends on."""

    steps: int = option(2100, "of the generator; fewer are quicker and paint worse")
    seed: int = option(0, "of weights, noise and data", least=0)
    batch_size: int = option(32, "images a step of the critic", least=2)
    latent: int = option(64, "numbers that a picture is made from")
    channels: tuple = (128, 64, 32)  # of the generator at 4 pixels, 8 and so on
    judges: tuple = (32, 64, 128)  # channels of the critic at half the size and so on
    activation: str = option("relu", "of the generator", choices=tuple(gan.ACTIVATIONS))
    critic_steps: int = option(2, "of the critic for each of the generator")
    penalty: float = option(10.0, "weight of the gradient penalty")
    generator_lr: float = option(2e-3, "the largest learning rate, at first")
    critic_lr: float = option(2e-3, "likewise")
    beta1: float = 0.0  # of Adam, both as in the paper
    beta2: float = 0.9

    def __post_init__(self):
        check(self)
        for name in ("beta1", "beta2"):
            if getattr(self, name) >= 1:
                raise ValueError(f"expected {name} below 1, got {getattr(self, name)}")
        if {len(self.channels), len(self.judges)} != {3}:
            raise ValueError(f"expected three channels each, got {self.channels}, {self.judges}")


RECIPES = {"wgan": Settings()}


def networks(settings, image_channels):
    """{"generator": ..., "critic": ...}."""
    channels, judges = gan.ladders(settings)
    # batch norm would make a number depend on the batch's other pictures: the penalty is on the
    # gradient of each number in its own picture
    critic = models.Discriminator(judges, image_channels, settings.classes, batch_norm=False)
    return {
        "generator": models.Generator(
            settings.latent, channels, image_channels, settings.classes, settings.activation
        ),
        "critic": critic.apply(_initialise),
    }


def _initialise(module):
    """The first weights of He et al. (2015): where no batch norm follows, those of DCGAN, which are
    small, would let a picture fade from layer to layer.
    """
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.kaiming_normal_(module.weight, 0.2)


def build(path, settings, device):
    """The Training of a generator and its critic."""
    rates = {"generator": settings.generator_lr, "critic": settings.critic_lr}
    return gan.game(
        path, settings, device, networks, rates, play, settings.beta2, settings.critic_steps
    )


# ---------------------------------------------------------------- the penalty


def between(real, fake):
    """A random place on the straight line from each real picture to its fake: (N, C, H, W)."""
    part = ops.rand(len(real), 1, 1, 1, dtype=real.dtype, device=real.device)
    return ops.lerp(real, fake, part)


def steepness(critic, images, *asked):
    """The norm of the gradient of a critic's number in each picture, (N,), which can itself be
    differentiated, by the critic's weights.
    """
    images = images.detach()
    images.requires_grad = True
    # no number depends on another's picture, so the sum's gradient has those of all, side by side
    (slopes,) = td.grad(critic(images, *asked).sum(), images, create_graph=True)
    return slopes.flatten(1).norm(dim=1)


def penalty(norms):
    """How far norms (N,) are from 1: the mean square. Below 1 counts as well as above, since the
    gradient of the best critic has norm 1 almost everywhere between the pairs that the distance
    couples (Gulrajani et al. 2017, proposition 1).
    """
    return ((norms - 1) ** 2).mean()


# ---------------------------------------------------------------- training


def play(networks, optimizers, settings, images, labels):
    """Steps of the critic, each with its share of the images and fakes of its own, then a step of
    the generator. Returns the means over the critic's steps, and the generator's loss.

    images: uint8, 0 to 255; each fake has the label of a real image
    """
    generator, critic = networks["generator"], networks["critic"]
    device = device_of(generator)

    def painted(labels):
        asked = [td.tensor(labels, device=device)] if settings.classes else []
        noise = ops.randn(len(labels), settings.latent, device=device)
        return generator(noise, *asked), asked

    told = []
    for k in range(settings.critic_steps):
        part = slice(k, None, settings.critic_steps)
        real = td.tensor(centred(images[part]), device=device)
        with td.no_grad():
            fake, asked = painted(labels[part])
        told.append(_teach(critic, optimizers["critic"], settings, real, fake, asked))

    fake, asked = painted(labels[part])
    loss = -critic(fake, *asked).mean()
    optimizers["generator"].zero_grad()
    loss.backward(inputs=[*generator.parameters()])  # and not the critic's, at their cost
    optimizers["generator"].step()
    means = {name: sum(of[name] for of in told) / len(told) for name in told[0]}
    return {**means, "generator": loss}


def _teach(critic, optimizer, settings, real, fake, asked):
    """A step of the critic; what it measured before."""
    distance = critic(real, *asked).mean() - critic(fake, *asked).mean()
    norms = steepness(critic, between(real, fake), *asked)
    off = penalty(norms)
    optimizer.zero_grad()
    (settings.penalty * off - distance).backward()
    optimizer.step()
    told = {"wasserstein": distance, "gradient norm": norms.mean(), "penalty": off}
    return {name: number.detach() for name, number in told.items()}


def train(training):
    """Runs the training to its end; beside the checkpoint come weights, pictures of samples, the
    estimated distance and the gradient's norm, and scores. Returns the scores as a table to print.
    """
    gan.paint(training)
    losses = training.losses
    panels = {
        "Wasserstein distance, estimated": losses["wasserstein"],
        "norm of the critic's gradient": losses["gradient norm"],
    }
    viz.loss_curves(training.path.parent / "wasserstein.png", panels)
    last = losses["gradient norm"][-LAST:]
    what = f"norm of the critic's gradient, mean of the last {len(last)} steps"
    return gan.measurements(training, {what: float(np.mean(last))})
