"""Whole training steps: zero_grad, forward, backward, Adam. One source for both libraries."""

from .tables import compare

HELP = "training steps of a DCGAN, a DnCNN and a small convolutional VAE, with Adam"
PEERS = ["torch"]
BATCH = 32


def dcgan(lib, nn, functional, optim):
    """Both networks of Radford et al. 2016 at 64x64, one update each, as in PyTorch's tutorial."""
    noise, features, colours = 100, 64, 3

    def block(layer, norm, activation):
        return [layer, norm, activation]

    def up(i, o, stride, padding):
        return nn.ConvTranspose2d(i, o, 4, stride, padding, bias=False)

    def down(i, o, stride, padding):
        return nn.Conv2d(i, o, 4, stride, padding, bias=False)

    f = features
    generator = nn.Sequential(
        up(noise, f * 8, 1, 0), nn.BatchNorm2d(f * 8), nn.ReLU(),
        up(f * 8, f * 4, 2, 1), nn.BatchNorm2d(f * 4), nn.ReLU(),
        up(f * 4, f * 2, 2, 1), nn.BatchNorm2d(f * 2), nn.ReLU(),
        up(f * 2, f, 2, 1), nn.BatchNorm2d(f), nn.ReLU(),
        up(f, colours, 2, 1), nn.Tanh(),
    )  # fmt: skip
    discriminator = nn.Sequential(
        down(colours, f, 2, 1), nn.LeakyReLU(0.2),
        down(f, f * 2, 2, 1), nn.BatchNorm2d(f * 2), nn.LeakyReLU(0.2),
        down(f * 2, f * 4, 2, 1), nn.BatchNorm2d(f * 4), nn.LeakyReLU(0.2),
        down(f * 4, f * 8, 2, 1), nn.BatchNorm2d(f * 8), nn.LeakyReLU(0.2),
        down(f * 8, 1, 1, 0), nn.Sigmoid(), nn.Flatten(0),
    )  # fmt: skip
    loss = nn.BCELoss()
    optimize_d = optim.Adam(discriminator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    optimize_g = optim.Adam(generator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    images = lib.tanh(lib.randn(BATCH, colours, 64, 64))
    real, fake = lib.ones(BATCH), lib.zeros(BATCH)

    def step():
        optimize_d.zero_grad()
        loss(discriminator(images), real).backward()
        made = generator(lib.randn(BATCH, noise, 1, 1))
        loss(discriminator(made.detach()), fake).backward()
        optimize_d.step()
        optimize_g.zero_grad()
        loss(discriminator(made), real).backward()
        optimize_g.step()

    return step


def dncnn(lib, nn, functional, optim):
    """Zhang et al. 2017 with 7 layers of 64 channels, on 16 patches of 48x48: learns the noise."""
    middle = []
    for _ in range(5):
        middle += [nn.Conv2d(64, 64, 3, padding=1, bias=False), nn.BatchNorm2d(64), nn.ReLU()]
    model = nn.Sequential(
        nn.Conv2d(1, 64, 3, padding=1), nn.ReLU(), *middle, nn.Conv2d(64, 1, 3, padding=1)
    )
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    clean = lib.randn(16, 1, 48, 48)

    def step():
        noise = lib.randn(16, 1, 48, 48) * 0.1
        optimizer.zero_grad()
        functional.mse_loss(model(clean + noise), noise).backward()
        optimizer.step()

    return step


def vae(lib, nn, functional, optim):
    """Kingma and Welling 2014 with two convolutions each way, on 64 images of 32x32."""
    encoder = nn.Sequential(
        nn.Conv2d(1, 32, 4, 2, 1), nn.ReLU(), nn.Conv2d(32, 64, 4, 2, 1), nn.ReLU(), nn.Flatten(),
        nn.Linear(64 * 8 * 8, 2 * 16),
    )  # fmt: skip
    decoder = nn.Sequential(
        nn.Linear(16, 64 * 8 * 8), nn.ReLU(), nn.Unflatten(1, (64, 8, 8)),
        nn.ConvTranspose2d(64, 32, 4, 2, 1), nn.ReLU(), nn.ConvTranspose2d(32, 1, 4, 2, 1),
    )  # fmt: skip
    optimizer = optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=1e-3)
    images = lib.rand(64, 1, 32, 32)

    def step():
        optimizer.zero_grad()
        mean, log_variance = encoder(images).chunk(2, 1)
        code = mean + lib.randn(64, 16) * (log_variance * 0.5).exp()
        divergence = -0.5 * (1 + log_variance - mean**2 - log_variance.exp()).sum()
        told = functional.binary_cross_entropy_with_logits(decoder(code), images, reduction="sum")
        ((told + divergence) / 64).backward()
        optimizer.step()

    return step


MODELS = {"DCGAN": dcgan, "DnCNN": dncnn, "VAE": vae}


def cases(libraries):
    return [{"name": name} for name in MODELS]


def build(library, case):
    library.lib.manual_seed(0)
    make = MODELS[case["name"]]
    step = make(library.lib, library.nn, library.functional, library.optim)
    return lambda: None, lambda _: step()


def tables(record):
    return [compare(record, "ms", 1e3)]
