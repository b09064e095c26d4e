"""What a student gets wrong: mypy --strict points at these lines and no others."""

import tinydeconv as td
from tinydeconv import nn, optim
from tinydeconv.nn import functional as F

x = td.randn(2, 3, requires_grad=True)
x.cumsom(1)  # error: attr-defined
x.reshape("2", 3)  # error: arg-type
x.sum(axis=1)  # error: call-arg
x.grad.sum()  # error: union-attr
x.shape = (3, 2)  # error: misc
x.dim.bit_length()  # error: attr-defined
"a" + x  # error: operator
td.zeros(2, out=x)  # error: call-arg
td.cat(x, "0")  # error: arg-type
F.relu([1.0])  # error: arg-type
F.mse_loss(x, x, reduction="average")  # error: arg-type
F.conv2d(x, x, None, 2)  # error: call-arg
indices: td.Tensor = F.max_pool2d(x, 2, return_indices=True)  # error: assignment
layer = nn.Conv2d(3, 8)  # error: call-arg
layer.wieght  # error: attr-defined
layer("image")  # error: arg-type
nn.Linear(3, 4, bias="yes")  # error: arg-type
nn.Sequential(F.relu)  # error: arg-type
nn.Module().to(3)  # error: arg-type
td.cuda.is_avaliable()  # error: attr-defined
td.backends.cuda.allow_tf32 = "yes"  # error: assignment
optim.SGD(layer.parameters(), rate=0.1)  # error: call-arg
optim.SGD(layer, lr=0.1)  # error: arg-type
optim.Adam(layer.parameters(), betas=0.9)  # error: arg-type
td.save(layer, "weights.safetensors")  # error: arg-type
