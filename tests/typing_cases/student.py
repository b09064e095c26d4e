"""What a student writes: mypy --strict agrees with every assert_type, and the program runs."""

from typing import Any, assert_type

import numpy as np
import numpy.typing as npt

import tinydeconv as td
from tinydeconv import Tensor, nn, optim
from tinydeconv.data import add_noise, rgb2gray
from tinydeconv.metrics import psnr
from tinydeconv.nn import functional as F
from tinydeconv.nn.utils import clip_grad_norm_, parameters_to_vector
from tinydeconv.optim.lr_scheduler import StepLR

td.manual_seed(0)

# ---------------------------------------------------------------- tensors

x = td.tensor([[1.0, -2.0, 3.0], [4.0, 5.0, 6.0]], requires_grad=True)
assert_type(x, Tensor)
assert_type(x.shape, tuple[int, ...])
assert_type(x.size(0), int)
assert_type(x.dtype, np.dtype[Any])
assert_type(x.device, td.device)
assert_type(x.device.type, str)
assert_type(x[0, ::2], Tensor)
assert_type(2 * x + 1 - x / 2**0.5 @ x.T if x.ndim == 1 else x, Tensor)
assert_type(-x > 0, Tensor)
assert_type(x == 1, Tensor)
assert_type(np.float32(2) * x, Tensor)
assert_type(x.exp().log1p().clamp(min=0).cumsum(dim=1).square(), Tensor)
assert_type(x.reshape(-1).unsqueeze(0).expand(4, 6).permute(1, 0), Tensor)
assert_type(x.sum(dim=(0, 1), keepdim=True).float(), Tensor)
assert_type(x.max(), Tensor)
values, indices = x.max(dim=1)
assert_type(values, Tensor)
assert_type(x.sort(dim=1, descending=True).indices, Tensor)
assert_type(x.chunk(2), tuple[Tensor, ...])
assert_type(td.cat([x, td.zeros(1, 3)]).T, Tensor)
assert_type(td.where(x > 0, x, 0.0), Tensor)
assert_type(td.einsum("ij,kj->ik", x, x), Tensor)
assert_type([row.sum().item() for row in x], list[float])
assert_type(x.detach().numpy(), npt.NDArray[Any])
assert_type(x.data, npt.NDArray[Any])
assert_type(td.float64, np.dtype[np.float64])
assert_type(td.grad(x.sum(), x), tuple[Tensor, ...])
assert_type(td.grad(x.sum(), [x], allow_unused=True), tuple[Tensor | None, ...])
assert_type(td.cuda.is_available(), bool)
assert_type(td.cuda.memory_allocated("cuda:0"), int)
assert_type(td.backends.cuda.allow_tf32, bool)
td.backends.cuda.allow_tf32 = False
assert_type(x.to("cpu").cpu(), Tensor)
hook = x.register_hook(lambda gradient: 2 * gradient)
x.sum().backward()
assert_type(x.grad, Tensor | None)
hook.remove()


@td.no_grad()
def without_a_graph(tensor: Tensor, factor: float) -> Tensor:
    return tensor * factor


assert_type(without_a_graph(x, 3.0), Tensor)
assert_type(td.is_grad_enabled(), bool)

# ---------------------------------------------------------------- networks


class Net(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.down = nn.Sequential(
            nn.Conv2d(1, channels, 3, stride=(2, 2), padding=1),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
        )
        self.up = nn.ConvTranspose2d(channels, 1, kernel_size=4, stride=2, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        hidden = assert_type(self.down(image), Tensor)
        return self.up(F.dropout(hidden, p=0.1, training=self.training), output_size=(8, 8))


model = Net(channels=4).train()
assert_type(model, Net)
assert_type(model.up.weight, nn.Parameter)
assert_type(model.up.bias, nn.Parameter | None)
assert_type(model.state_dict(), dict[str, Tensor])
nn.init.kaiming_normal_(model.up.weight, nonlinearity="relu")
pooled, where = F.max_pool2d(td.randn(1, 1, 8, 8), 2, return_indices=True)
assert_type(where, Tensor)
assert_type(F.max_pool2d(td.randn(1, 1, 8, 8), 2), Tensor)
output, (h, c) = nn.LSTM(3, 5)(td.randn(7, 2, 3))
assert_type(c, Tensor)

# ---------------------------------------------------------------- training

optimizer = optim.Adam(model.parameters(), lr=1e-2, betas=(0.9, 0.99))
schedule = StepLR(optimizer, step_size=2)
loss_of = nn.MSELoss(reduction="mean")
rng = np.random.default_rng(0)
clean = np.asarray(rgb2gray(rng.random((8, 8, 3), dtype=np.float32)))


def train(steps: int) -> list[float]:
    losses: list[float] = []
    for _ in range(steps):
        noisy = td.from_numpy(add_noise(clean, 0.1, rng))[None, None]
        optimizer.zero_grad()
        loss = loss_of(model(noisy), td.from_numpy(clean)[None, None])
        loss.backward()
        assert_type(clip_grad_norm_(model.parameters(), 1.0), Tensor)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return losses


assert_type(train(3), list[float])
assert_type(schedule.get_last_lr(), list[float])
assert_type(parameters_to_vector(model.parameters()), Tensor)
with td.no_grad():
    restored = model.eval()(td.from_numpy(clean)[None, None])
assert_type(psnr(clean, clean), float)
report = td.gradcheck(td.exp, td.randn(3, dtype=td.float64, requires_grad=True))
assert_type(report.ok, bool)
