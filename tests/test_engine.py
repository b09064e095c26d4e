"""The engine: what the graph keeps, when it goes, and what walking it gives."""

import gc
import inspect
import threading
import tracemalloc
from collections import Counter
from contextlib import contextmanager

import numpy as np
import pytest
from refusals import refused

import tinydeconv as td
from tinydeconv import engine, opcases
from tinydeconv.ops import convolution, leaky_relu, softplus
from tinydeconv.ops.formulas import Step
from tinydeconv.ops.maths import Rounding, Sign
from tinydeconv.tensor import Tensor

HERE = __file__


def leaf(values, dtype=np.float64):
    return td.tensor(values, dtype=dtype, requires_grad=True)


def numbers(tensor):
    return tensor.detach().tolist()


def line_here():
    """The line number of the caller."""
    return inspect.currentframe().f_back.f_lineno


def conv2d(x, w):
    return convolution(x, w, None, 2, stride=1, padding=0, dilation=1, groups=1)


# ---------------------------------------------------------------- the graph lives once


def test_the_graph_is_let_go_by_the_first_walk():
    x = leaf([1.0, 2.0])
    y = (x * x).sum()
    y.backward()
    with refused(RuntimeError, "retain_graph=True"):
        y.backward()
    with refused(RuntimeError, "retain_graph=True"):
        td.grad(y, x)
    assert numbers(x.grad) == [2.0, 4.0]


def test_a_part_shared_by_two_losses_is_let_go_too():
    x = leaf(2.0)
    shared = x * x
    first, second = shared * 3, shared * 5
    first.backward()
    with refused(RuntimeError, "retain_graph=True"):
        second.backward()


def test_retain_graph_walks_twice():
    x = leaf([1.0, 2.0])
    y = (x * x).sum()
    y.backward(retain_graph=True)
    assert numbers(x.grad) == [2.0, 4.0]
    assert numbers(td.grad(y, x, retain_graph=True)[0]) == [2.0, 4.0]
    y.backward()
    assert numbers(x.grad) == [4.0, 8.0]
    with refused(RuntimeError, "retain_graph=True"):
        y.backward()


def test_create_graph_keeps_the_graph_unless_told_otherwise():
    x = leaf(2.0)
    y = x * x * x
    (g,) = td.grad(y, x, create_graph=True)
    y.backward()
    assert x.grad.item() == g.item() == 12.0

    x.grad = None
    y = x * x * x
    (g,) = td.grad(y, x, create_graph=True, retain_graph=False)
    with refused(RuntimeError, "retain_graph=True"):
        y.backward()


def test_gradients_have_a_graph_with_create_graph_alone():
    x = leaf(2.0)
    (g,) = td.grad(x * x, x)
    assert not g.requires_grad
    (g,) = td.grad(x * x, x, create_graph=True)
    assert g.requires_grad and not g.is_leaf

    (x * x * x).backward(create_graph=True)
    assert numbers(td.grad(x.grad, x)[0]) == 12.0


# ---------------------------------------------------------------- needs


@pytest.fixture
def applied(monkeypatch):
    """The names of the ops applied from here on, in order."""
    names = []
    apply = engine.Op.__call__

    def noted(op, *inputs):
        names.append(op.name)
        return apply(op, *inputs)

    monkeypatch.setattr(engine.Op, "__call__", noted)
    return names


def conv_chain():
    x = td.randn(1, 2, 5, 5, requires_grad=True)
    w1 = td.randn(3, 2, 2, 2, requires_grad=True)
    w2 = td.randn(1, 3, 2, 2, requires_grad=True)
    return x, w1, w2, conv2d(conv2d(x, w1), w2).sum()


def test_expensive_gradients_that_nobody_asked_for_are_not_computed(applied):
    def count(*wanted):
        x, w1, w2, loss = conv_chain()
        applied.clear()
        td.grad(loss, [(x, w1, w2)[i] for i in wanted])
        return applied.count("ConvTranspose"), applied.count("ConvWeight")

    assert count(0) == (2, 0)
    assert count(1) == (1, 1)
    assert count(2) == (0, 1)
    assert count(0, 1, 2) == (2, 2)


def test_the_first_layers_image_gets_no_gradient(applied):
    x, w = td.randn(1, 2, 5, 5), td.randn(3, 2, 2, 2, requires_grad=True)
    conv2d(x, w).sum().backward()
    assert applied.count("ConvWeight") == 1 and "ConvTranspose" not in applied
    assert x.grad is None and w.grad.shape == w.shape


def test_backward_with_inputs_walks_towards_them_alone(applied):
    x, w1, w2, loss = conv_chain()
    applied.clear()
    loss.backward(inputs=[w2])
    assert applied.count("ConvWeight") == 1 and "ConvTranspose" not in applied
    assert w2.grad is not None and x.grad is None and w1.grad is None


# ---------------------------------------------------------------- what a node holds

MEGABYTE = 2**20


@contextmanager
def traced():
    """Memory that Python and NumPy take in the block: current() and peak(), in bytes."""
    tracemalloc.start()
    try:
        yield tracemalloc
    finally:
        tracemalloc.stop()


def held_by(function, *inputs):
    """Megabytes that stand after function(*inputs).sum(), while only its result is kept."""
    function(*inputs).sum()  # scratch memory of the kernels stands from now on
    with traced() as memory:
        loss = function(*inputs).sum()
        held = memory.get_traced_memory()[0]
    assert loss.requires_grad
    return held / MEGABYTE


LINEAR = {
    "add": lambda x: x + x,
    "sub": lambda x: x - 1.0,
    "neg": lambda x: -x,
    "sum": lambda x: x.sum(0),
    "reshape": lambda x: x.reshape(-1),
    "permute": lambda x: x.T,
    "slice": lambda x: x[1:],
    "expand": lambda x: x.expand(2, *x.shape),
    "cat": lambda x: td.cat([x, x]),
    "cast": lambda x: x.astype(np.float64),
    "flip": lambda x: x.flip(0),
}


@pytest.mark.parametrize("name", LINEAR)
def test_linear_ops_keep_only_shapes(name):
    x = td.ones(256, 1024, requires_grad=True)  # one megabyte
    node = LINEAR[name](x).node
    assert all(isinstance(kept, engine.Spec) for kept in node.inputs) and node.output is None
    assert (node.inputs[0].shape, node.inputs[0].dtype) == (x.shape, x.dtype)
    assert held_by(lambda x: LINEAR[name](x + 1) * 1.0, x) < (6.1 if name == "expand" else 4.1)
    assert held_by(lambda x: LINEAR[name](x - 1), x) < 0.1


@pytest.mark.parametrize(
    "function, megabytes",
    [
        (td.exp, 1),  # its output
        (lambda x: x.exp().exp(), 2),
        (td.sin, 0),  # its input, which stands anyway
        (lambda x: (x + 1).sin(), 1),
        (lambda x: (x + 1) * (x + 2), 2),
        (lambda x: x.abs().sign() if hasattr(x, "sign") else Sign()(x + 1), 0),
        (lambda x: td.relu(x + 1), 1),
    ],
)
def test_other_ops_keep_what_their_backward_reads_and_no_more(function, megabytes):
    x = td.ones(256, 1024, requires_grad=True)
    assert abs(held_by(function, x) - megabytes) < 0.1


def test_without_recording_nothing_is_held():
    x = td.ones(256, 1024, requires_grad=True)
    with traced() as memory, td.no_grad():
        loss = (x.exp() * x).sum()
        assert memory.get_traced_memory()[0] < 0.1 * MEGABYTE
    assert not loss.requires_grad and loss.grad_fn is None


def test_the_walk_lets_go_of_what_the_nodes_held():
    x = td.ones(256, 1024, requires_grad=True)
    with traced() as memory:
        loss = x.exp().exp().sum()
        assert memory.get_traced_memory()[0] > 1.9 * MEGABYTE
        loss.backward()
        assert memory.get_traced_memory()[0] < 1.1 * MEGABYTE  # x.grad


def training_peak(steps):
    """The peak, in megabytes, of a training loop whose graph holds about 8."""
    x, w = td.ones(256, 1024), td.ones(256, 1024, requires_grad=True)
    with traced() as memory:
        for _ in range(steps):
            y = w * x
            for _ in range(7):
                y = y.sin()
            loss = y.sum()
            loss.backward()
            w.data -= np.float32(0.1) * w.grad.data
            w.grad = None
        return memory.get_traced_memory()[1] / MEGABYTE


def test_two_steps_graphs_never_stand_in_memory_together():
    one, three = training_peak(1), training_peak(3)
    assert one > 8  # it sees the graph
    assert three < one + 1.5


# ---------------------------------------------------------------- no cycles


def ours():
    """How many Tensors, Nodes and Ops of each kind are alive."""
    kinds = (Tensor, engine.Node, engine.Op)
    return Counter(type(thing).__name__ for thing in gc.get_objects() if isinstance(thing, kinds))


@contextmanager
def no_garbage():
    """What the block makes must be gone after it, without the garbage collector's help."""
    gc.collect()
    gc.disable()
    try:
        before = ours()
        yield
        assert ours() - before == Counter()
    finally:
        gc.enable()


def network():
    x, w = td.randn(2, 2, 6, 6), td.randn(3, 2, 3, 3, requires_grad=True)
    y = conv2d(x, w)
    z = td.softmax(td.relu(y).reshape(2, -1).exp(), 1) ** 2.0
    return w, (z.max() + z.std() + td.einsum("ij,ij->", z, z)).log()


def test_memory_goes_without_the_garbage_collector():
    with no_garbage():
        network()
    with no_garbage():
        w, loss = network()
        loss.backward()
        assert w.grad is not None
        del w, loss
    with no_garbage():
        w, loss = network()
        loss.backward(retain_graph=True)
        td.grad(loss, w)
        del w, loss
    with no_garbage():
        w, loss = network()
        (g,) = td.grad(loss, w, create_graph=True)
        (g * g).sum().backward()
        del w, loss, g


def test_every_op_lets_go_of_its_memory_and_leaves_its_inputs_alone():
    with no_garbage():
        for case in opcases.CASES:
            inputs = case.inputs()
            before = [x.data.copy() for x in inputs]
            y = case(*inputs)
            gradients = td.grad(
                y, inputs, td.ones_like(y), create_graph=True, retain_graph=True, allow_unused=True
            )
            y.backward(td.ones_like(y))
            for x, array in zip(inputs, before, strict=True):
                np.testing.assert_array_equal(x.data, array, err_msg=case.name)
                assert x.version == [0], case.name
            del inputs, y, gradients, x


def test_a_gradient_with_a_graph_goes_once_grad_is_cleared():
    with no_garbage():
        w, loss = network()
        loss.backward(create_graph=True)
        w.grad = None
        del w, loss


def test_hooks_and_retained_gradients_make_no_cycles():
    with no_garbage():
        w, loss = network()
        handle = loss.register_hook(lambda g: g * 2)
        w.register_hook(lambda g: None)
        loss.retain_grad()
        loss.backward()
        assert loss.grad.item() == 2.0
        del w, loss, handle


def failing_forward(x):
    td.matmul(x.exp().reshape(2, 3), x.exp().reshape(2, 3))


def failing_backward(x):
    y = (x * x).sum()
    x.data -= 1.0
    y.backward()


def failing_hook(x):
    y = x.exp()
    y.register_hook(lambda g: 1 / 0)
    y.sum().backward()


def failing_anomaly(x):
    with td.detect_anomaly():
        td.log(x - x)


@pytest.mark.parametrize(
    "fails", [failing_forward, failing_backward, failing_hook, failing_anomaly]
)
def test_after_an_exception_too(fails):
    with no_garbage():
        try:
            fails(td.ones(6, requires_grad=True))
        except (ValueError, RuntimeError, ZeroDivisionError, FloatingPointError):
            pass
        else:
            pytest.fail("expected an exception")
    assert td.is_grad_enabled()


# ---------------------------------------------------------------- depth


def test_a_chain_of_100_000_ops():
    x = leaf(3.0)
    y = x
    for _ in range(100_000):
        y = -y
    y.backward()
    assert x.grad.item() == 1.0


def test_a_chain_of_100_000_ops_goes_without_a_walk():
    with no_garbage():
        y = leaf(0.5)
        for _ in range(100_000):
            y = td.sin(y)  # keeps its input, which keeps its own
        del y


# ---------------------------------------------------------------- stale graphs


def halve(tensor):
    tensor.data -= tensor.data / 2


def kept_view(p):
    with td.no_grad():
        return p.reshape(2, 2)


def constant_factor(p):
    constant = td.ones(4, dtype=np.float64)
    return p * constant, constant


def output_and_alias(p):
    y = p.exp()
    return y, y.detach()


def view_of_output_and_alias(p):
    y = p.exp()
    return y + 1, y.reshape(2, 2).detach()


# What is computed from p, and what is then overwritten; the op whose backward needs it.
STALE = {
    "itself": (lambda p: (p * p, p), "Mul"),
    "a reshape": (lambda p: (p.reshape(2, 2) ** 2, p), "Pow"),
    "a slice": (lambda p: (p[1:] * p[1:], p), "Mul"),
    "a view of a view": (lambda p: (p.reshape(2, 2).T[0].sin(), p), "Sin"),
    "an expanded view": (lambda p: (p.expand(3, 4).cos(), p), "Cos"),
    "through a detached alias": (lambda p: (p * p, p.detach()), "Mul"),
    "through a view of it": (lambda p: (p * p, kept_view(p)), "Mul"),
    "a kept output": (output_and_alias, "Exp"),
    "a view of a kept output": (view_of_output_and_alias, "Exp"),
    "a constant factor": (constant_factor, "Mul"),
    "a matrix": (lambda p: (p.reshape(2, 2) @ p.reshape(2, 2), p), "MatMul"),
}


@pytest.mark.parametrize("name", STALE)
def test_overwriting_what_a_backward_needs_is_an_error(name):
    make, op = STALE[name]
    p = leaf([1.0, 2.0, 3.0, 4.0])
    y, overwritten = make(p)
    halve(overwritten)
    with refused(RuntimeError, op, "overwritten"):
        y.sum().backward()
    assert p.grad is None


def test_overwriting_by_assignment_is_seen_too():
    p = leaf([1.0, 2.0])
    y = (p * p).sum()
    p.data = np.zeros(2)
    with refused(RuntimeError, "Mul", "overwritten"):
        y.backward()


def test_a_second_derivative_is_stale_after_a_step():
    p = leaf([1.0, 2.0])
    (g,) = td.grad((p * p * p).sum(), p, create_graph=True)
    halve(p)
    with refused(RuntimeError, "overwritten"):
        td.grad(g.sum(), p)


def test_stepping_one_network_before_the_others_backward():
    """The mistake of many a GAN: the critic steps, then the generator walks back through it."""
    generator, critic = leaf([1.0]), leaf([2.0])
    fake = generator * 3
    critic_loss = (fake.detach() * critic).sum()
    generator_loss = (fake * critic).sum()
    critic_loss.backward()
    halve(critic)
    with refused(RuntimeError, "Mul", "step"):
        generator_loss.backward()


FRESH = {
    "nothing was overwritten": lambda p: ((p * p).sum(), [2.0, 4.0]),
    "overwritten before the forward": lambda p: (halve(p), ((p * p).sum(), [1.0, 2.0]))[1],
    "not kept by a linear op": lambda p: ((p + p).sum(), halve(p), [2.0, 2.0])[::2],
    "a computed copy is kept": lambda p: (((p + 0) ** 2.0).sum(), halve(p), [2.0, 4.0])[::2],
    "exp keeps its output": lambda p: (p.exp().sum(), halve(p), [np.e, np.e**2])[::2],
    "another tensor": lambda p: ((p * p).sum(), halve(td.tensor(p)), [2.0, 4.0])[::2],
    "a cast copies": lambda p: ((p.float() ** 2.0).sum(), halve(p), [2.0, 4.0])[::2],
}


@pytest.mark.parametrize("name", FRESH)
def test_no_false_alarm(name):
    p = leaf([1.0, 2.0])
    loss, expected = FRESH[name](p)
    loss.backward()
    np.testing.assert_allclose(numbers(p.grad), expected, rtol=1e-12)


def test_a_training_loop_raises_no_alarm():
    p = leaf([1.0, 2.0])
    for _ in range(3):
        p.grad = None
        (p * p).sum().backward()
        p.data -= 0.25 * p.grad.data
    assert numbers(p) == [0.125, 0.25]


# ---------------------------------------------------------------- ties and corners

INF = float("inf")
# What PyTorch 2.13 gives: the gradient of f(x).sum(), or of f(a, b).sum() with respect to both.
CORNERS = [
    (lambda x: x.max(), [[1, 3, 3]], [[0, 0.5, 0.5]]),
    (lambda x: x.min(), [[1, 1, 3]], [[0.5, 0.5, 0]]),
    (lambda x: x.amax(1), [[[2, 2, 1], [0, 5, 5]]], [[[0.5, 0.5, 0], [0, 0.5, 0.5]]]),
    (lambda x: x.amax((0, 1)), [[[5, 2], [5, 5]]], [[[1 / 3, 0], [1 / 3, 1 / 3]]]),
    (lambda x: x.amin(0), [[[2, 2, 1], [0, 2, 5]]], [[[0, 0.5, 1], [1, 0.5, 0]]]),
    (td.maximum, [[1, 2, 3], [3, 2, 1]], [[0, 0.5, 1], [1, 0.5, 0]]),
    (td.minimum, [[1, 2, 3], [3, 2, 1]], [[1, 0.5, 0], [0, 0.5, 1]]),
    (lambda x: x.max(1).values, [[[2, 2, 1], [0, 5, 5]]], [[[1, 0, 0], [0, 1, 0]]]),
    (lambda x: x.min(1).values, [[[2, 1, 1], [0, 0, 5]]], [[[0, 1, 0], [1, 0, 0]]]),
    (lambda x: x.clamp(-1, 1), [[-2, -1, 0, 1, 2]], [[0, 1, 1, 1, 0]]),
    (td.relu, [[-1, 0, 1]], [[0, 0, 1]]),
    (lambda x: leaky_relu(x, 0.1), [[-1, 0, 1]], [[0.1, 0.1, 1]]),
    (td.abs, [[-1, 0, 1]], [[-1, 0, 1]]),
    (td.sqrt, [[0, 1]], [[INF, 0.5]]),
    (lambda x: x.std(), [[2, 2, 2]], [[0, 0, 0]]),
    (lambda x: x.norm(), [[0, 0]], [[0, 0]]),
    (lambda x: x.norm(1), [[0, -2]], [[0, -1]]),
    (lambda x: x.norm(INF), [[2, -2, 1]], [[0.5, -0.5, 0]]),
    (lambda x: x.norm(3), [[0, 0]], [[0, 0]]),
    (td.pow, [[0, 0, 0, 2], [0, 1, 2, 0]], [[0, 1, 0, 0], [0, 0, 0, np.log(2)]]),
    (lambda x: x**0, [[0, 2]], [[0, 0]]),
    (lambda x: x**1, [[0, 2]], [[1, 1]]),
    (lambda x: x**0.5, [[0, 4]], [[INF, 0.25]]),
    (lambda x: x % 2, [[7, -7]], [[1, 1]]),
]


@pytest.mark.parametrize("function, inputs, expected", CORNERS)
def test_ties_and_corners_as_in_pytorch(function, inputs, expected):
    inputs = [leaf(x) for x in inputs]
    function(*inputs).sum().backward()
    for x, slope in zip(inputs, expected, strict=True):
        np.testing.assert_allclose(numbers(x.grad), slope, rtol=1e-15)


# ---------------------------------------------------------------- hooks and kept gradients


def test_hooks_run_in_order_and_may_replace_the_gradient():
    x = leaf([1.0, 2.0])
    seen = []
    x.register_hook(lambda g: seen.append(("first", numbers(g))))
    x.register_hook(lambda g: g * 10)
    x.register_hook(lambda g: seen.append(("third", numbers(g))))
    (x * x).sum().backward()
    assert seen == [("first", [2.0, 4.0]), ("third", [20.0, 40.0])]
    assert numbers(x.grad) == [20.0, 40.0]
    assert numbers(td.grad((x * x).sum(), x)[0]) == [20.0, 40.0]


def test_a_hook_on_a_computed_tensor_acts_on_all_behind_it_once():
    x = leaf([1.0, 2.0])
    y = x * 3
    seen = []
    y.register_hook(lambda g: seen.append(numbers(g)))
    y.register_hook(lambda g: -g)
    y.retain_grad()
    (y * 5 + y * 2).sum().backward()
    assert seen == [[7.0, 7.0]]  # the whole gradient, once
    assert numbers(y.grad) == [-7.0, -7.0]
    assert numbers(x.grad) == [-21.0, -21.0]


def test_consumers_come_first_in_any_graph():
    """What a linear function of leaves made at any time passes on: its own coefficients."""
    random, leaves, made = np.random.default_rng(0), [], []
    for step in range(120):
        if step % 10 == 0:
            leaves.append(leaf(float(step)))
            made.append((leaves[-1], np.eye(12)[step // 10]))
        (a, of_a), (b, of_b) = (made[i] for i in random.choice(len(made), 2))
        made.append((a * 0.5 - b * 0.25, of_a * 0.5 - of_b * 0.25))
    last, expected = sum(x for x, _ in made), sum(c for _, c in made)
    np.testing.assert_allclose([g.item() for g in td.grad(last, leaves)], expected, rtol=1e-12)


def test_hooks_run_consumers_first():
    order = []
    x = leaf(2.0)
    y = x * x
    z = y.exp()
    for name, tensor in (("x", x), ("z", z), ("y", y)):
        tensor.register_hook(lambda g, name=name: order.append(name))
    z.backward()
    assert order == ["z", "y", "x"]


def test_a_removed_hook_is_silent():
    x = leaf(1.0)
    seen = []
    hooks = [x.register_hook(lambda g, i=i: seen.append(i)) for i in range(3)]
    hooks[1].remove()
    (x * 2).backward()
    assert seen == [0, 2]
    hooks[1].remove()  # again: no harm
    hooks[0].remove()
    (x * 2).backward()
    assert seen == [0, 2, 2]


def test_one_function_hooked_twice_is_removed_once():
    x = leaf(1.0)

    def double(g):
        return g * 2

    first, second = x.register_hook(double), x.register_hook(double)
    first.remove()
    first.remove()
    assert td.grad(x * 1, x)[0].item() == 2.0
    second.remove()
    assert td.grad(x * 1, x)[0].item() == 1.0


def test_a_hook_must_keep_shape_and_dtype():
    x = leaf([1.0, 2.0])
    handle = x.register_hook(lambda g: g.sum())
    with refused(RuntimeError, "float64", "(2,)", "()"):
        (x * x).sum().backward()
    handle.remove()
    x.register_hook(lambda g: g.float())
    with refused(RuntimeError, "float64", "float32"):
        (x * x).sum().backward()


def test_hooks_are_recorded_under_create_graph():
    x = leaf(3.0)
    x.register_hook(lambda g: g * g)
    (g,) = td.grad(x * x, x, create_graph=True)
    assert g.item() == 36.0  # (2 x)^2, whose derivative is 8 x, squared by the hook again
    assert td.grad(g, x)[0].item() == 24.0**2


def test_a_computed_tensor_keeps_its_gradient_on_request():
    x = leaf(3.0)
    y, z = x * 2, x * 3
    y.retain_grad()
    (y * z).backward()
    assert y.grad.item() == 9.0
    assert z.grad is None
    assert x.grad.item() == 36.0


def test_hooks_and_retain_grad_need_a_graph():
    x = td.ones(2)
    with refused(RuntimeError, "register_hook"):
        x.register_hook(print)
    with refused(RuntimeError, "retain_grad"):
        x.retain_grad()


# ---------------------------------------------------------------- recording


def test_recording_is_per_thread():
    x = leaf(2.0)
    inside = threading.Barrier(2)
    results = {}

    def silent():
        with td.no_grad():
            inside.wait(5)  # both threads are in the middle now
            results["silent"] = x * x
            inside.wait(5)

    def recording():
        inside.wait(5)
        results["recording"] = x * x
        inside.wait(5)

    threads = [threading.Thread(target=f) for f in (silent, recording)]
    with td.no_grad():  # which new threads do not inherit
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not results["silent"].requires_grad
    assert results["recording"].requires_grad
    assert td.is_grad_enabled()


def test_two_threads_walk_their_own_graphs():
    xs = [td.randn(4, 4, dtype=np.float64, requires_grad=True) for _ in range(2)]

    def work(x):
        for _ in range(20):
            x.grad = None
            (x @ x).exp().sum().backward()

    threads = [threading.Thread(target=work, args=(x,)) for x in xs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for x in xs:
        (expected,) = td.grad((x @ x).exp().sum(), x)
        assert numbers(x.grad) == numbers(expected)


def test_no_grad_and_its_relatives():
    x = leaf(2.0)
    with td.no_grad():
        assert not td.is_grad_enabled() and not (x * x).requires_grad
        with td.enable_grad():
            assert (x * x).requires_grad
        with td.enable_grad():
            assert (x * x).requires_grad
        assert not (x * x).requires_grad
        assert td.ones(2, requires_grad=True).requires_grad
    assert td.is_grad_enabled()
    with td.no_grad():
        assert not (x * x).requires_grad


def test_no_grad_as_a_decorator():
    x = leaf(2.0)

    @td.no_grad()
    def evaluate(scale):
        assert not td.is_grad_enabled()
        if scale == 0:
            raise ValueError("scale")
        return x * scale

    for _ in range(2):
        assert not evaluate(3).requires_grad
        assert td.is_grad_enabled()
    with pytest.raises(ValueError):
        evaluate(0)
    assert td.is_grad_enabled()


# ---------------------------------------------------------------- backward


def test_gradients_add_up_until_cleared():
    x = leaf([1.0, 2.0])
    (x * x).sum().backward()
    before = x.grad
    (3 * x).sum().backward()
    assert numbers(x.grad) == [5.0, 7.0]
    assert numbers(before) == [2.0, 4.0]  # the earlier gradient is not overwritten
    x.grad = None
    (3 * x).sum().backward()
    assert numbers(x.grad) == [3.0, 3.0]


SHARING = {
    "add": lambda a, b, c: a + b + c,
    "the seed": lambda a, b, c: a + b + c,
    "views": lambda a, b, c: a + b.reshape(2, 2).T.reshape(4) + c[:],
    "expanded": lambda a, b, c: (a.sum() + b.sum() + c.sum()).expand(4),
    "cat and split": lambda a, b, c: td.cat([a, b, c])[4:8] + a,
    "cast": lambda a, b, c: a.double() + b.double() + c.double(),
    "where": lambda a, b, c: td.where(a == a, a + b, c),
}


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("name", SHARING)
def test_two_leaves_never_share_the_memory_of_their_gradients(name, create_graph):
    leaves = [leaf([1.0, 2.0, 3.0, 4.0]) for _ in range(3)]
    y = SHARING[name](*leaves)
    seed = td.ones(4, dtype=np.float64)
    y.backward(seed, create_graph=create_graph)
    arrays = [seed.data, *(x.grad.data for x in leaves), *(x.data for x in leaves)]
    for i, a in enumerate(arrays):
        assert a.flags.writeable
        assert not any(np.shares_memory(a, b) for b in arrays[:i])


def test_a_kept_gradient_shares_no_memory_with_a_leafs():
    x = leaf([1.0, 2.0])
    y = x + 1
    y.retain_grad()
    y.sum().backward()
    assert not np.shares_memory(x.grad.data, y.grad.data)


def test_many_gradients_are_added_up_without_touching_one_that_is_shared():
    x, a = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    y = x * 2
    y.retain_grad()
    seen = []
    y.register_hook(lambda g: seen.append(g))
    # the same g goes to x, a and y; then x gets four more
    ((x + a) + y + x + x + x).sum().backward()
    assert numbers(x.grad) == [6.0, 6.0]
    assert numbers(a.grad) == numbers(y.grad) == numbers(seen[0]) == [1.0, 1.0]


def test_a_sum_of_many_gradients_can_be_differentiated():
    x = leaf([0.5, -1.0])
    y = sum((x**n for n in range(2, 7)), x)
    (g,) = td.grad(y.sum(), x, create_graph=True)
    (h,) = td.grad(g.sum(), x, create_graph=True)
    for found, order in ((g, 1), (h, 2)):
        expected = [np.polyval(np.polyder([1, 1, 1, 1, 1, 1, 0], order), v) for v in x.tolist()]
        np.testing.assert_allclose(numbers(found), expected, rtol=1e-12)


def test_many_gradients_are_added_up_in_silence(recwarn):
    x = leaf([1.0], np.float32)
    (x + x + x + x).backward(td.tensor([1e38]))
    assert numbers(x.grad) == [INF] and not recwarn.list


def test_backward_towards_some_inputs():
    a, b = leaf(2.0), leaf(3.0)
    y = a * b
    (y * y).backward(inputs=[a])
    assert a.grad.item() == 36.0 and b.grad is None
    y = a * b
    (y * y).backward(inputs=y)
    assert y.grad.item() == 12.0 and a.grad.item() == 36.0 and b.grad is None
    with refused(RuntimeError, "inputs[1]", "(2,)"):
        (a * b).backward(inputs=[a, td.ones(2)])


def test_only_a_scalar_goes_back_without_a_gradient():
    x = leaf([[1.0, 2.0], [3.0, 4.0]])
    with refused(RuntimeError, "(2, 2)", "sum"):
        (x * x).backward()
    with refused(RuntimeError, "(2, 2)", "sum"):
        td.grad(x * x, x)
    (x * x)[:1, :1].backward()  # one element will do, whatever its axes
    assert numbers(x.grad) == [[2.0, 0.0], [0.0, 0.0]]


def test_the_gradient_of_the_output_is_given():
    x = leaf([1.0, 2.0])
    (x * x).backward(td.tensor([10.0, 100.0], dtype=np.float64))
    assert numbers(x.grad) == [20.0, 400.0]


@pytest.mark.parametrize("walk", [lambda y, g: y.backward(g), lambda y, g: td.grad(y, y, g)])
@pytest.mark.parametrize(
    "gradient, kind, words",
    [
        (td.ones(3, dtype=np.float64), RuntimeError, ("float64", "(2,)", "(3,)")),
        (td.ones(2), RuntimeError, ("float64", "float32", "(2,)")),
        (np.ones(2), TypeError, ("Tensor", "ndarray")),
        (1.0, TypeError, ("Tensor", "float")),
    ],
)
def test_the_gradient_of_the_output_must_be_like_it(walk, gradient, kind, words):
    x = leaf([1.0, 2.0])
    with refused(kind, *words):
        walk(x * x, gradient)


def test_nothing_to_walk():
    for y in (td.ones(2).sum(), leaf([1.0]).detach(), leaf(1.0).astype(np.int64)):
        with refused(RuntimeError, "no_grad()"):
            y.backward()
    with td.no_grad():
        y = leaf(1.0) * 2
    with refused(RuntimeError, "no_grad()"):
        y.backward()


def test_a_leaf_can_be_walked_from():
    x = leaf(3.0)
    x.backward()
    x.backward()
    assert x.grad.item() == 2.0


# ---------------------------------------------------------------- td.grad


def test_grad_leaves_dot_grad_alone():
    x = leaf([1.0, 2.0])
    (g,) = td.grad((x * x).sum(), x)
    assert numbers(g) == [2.0, 4.0] and x.grad is None


def test_several_outputs_and_inputs():
    a, b = leaf(2.0), leaf(3.0)
    ga, gb = td.grad([a * b, a * a], [a, b])
    assert (ga.item(), gb.item()) == (3.0 + 4.0, 2.0)
    ga, gb = td.grad((a * b, a * a), (a, b), grad_outputs=[td.tensor(10.0, np.float64), None])
    assert (ga.item(), gb.item()) == (34.0, 20.0)
    with refused(ValueError, 2, 1):
        td.grad([a * b, a * a], [a, b], grad_outputs=[None])


def test_an_output_behind_another_output():
    x = leaf(2.0)
    y = x * x
    z = y * 3
    assert td.grad([y, z], x)[0].item() == 4.0 + 12.0


def test_the_same_output_or_input_twice():
    x = leaf(3.0)
    y = x * x
    first, second = td.grad([y, y], [x, x])
    assert first.item() == second.item() == 12.0


def test_an_input_that_is_itself_an_output():
    x = leaf([1.0, 2.0])
    y = x * 3
    seed = td.tensor([5.0, 7.0], np.float64)
    gx, gy = td.grad(y, [x, y], grad_outputs=seed)
    assert numbers(gy) == [5.0, 7.0] and numbers(gx) == [15.0, 21.0]
    assert numbers(td.grad(x, x, grad_outputs=seed)[0]) == [5.0, 7.0]


def test_a_computed_input():
    x = leaf(2.0)
    y = x * x
    z = y * y
    gy, gx = td.grad(z, [y, x])
    assert (gy.item(), gx.item()) == (8.0, 32.0)


def test_an_unused_input_is_an_error_unless_allowed():
    x, unused = leaf([1.0, 2.0]), leaf([1.0, 2.0, 3.0])
    with refused(RuntimeError, "inputs[1]", "(3,)", "allow_unused=True"):
        td.grad((x * x).sum(), [x, unused])
    gx, nothing = td.grad((x * x).sum(), [x, unused], allow_unused=True)
    assert numbers(gx) == [2.0, 4.0] and nothing is None
    with refused(RuntimeError, "inputs[0]", "(2,)", "requires_grad=True"):
        td.grad((x * x).sum(), td.ones(2), allow_unused=True)


@pytest.mark.parametrize(
    "op", [Sign(), Step(lambda x: x > 0), Rounding("floor"), lambda x: x // 2.0]
)
def test_a_derivative_known_to_be_zero_is_zeros_not_an_error(op):
    x, y = leaf([1.0, -2.0]), leaf([1.0])
    (g,) = td.grad(op(x).sum(), x)
    assert numbers(g) == [0.0, 0.0] and g.dtype == np.float64
    gx, gy = td.grad((op(x) * y).sum(), [x, y], allow_unused=True)
    assert numbers(gx) == [0.0, 0.0] and numbers(gy) == [op(x).sum().item()]
    op(x * 1).sum().backward()
    assert numbers(x.grad) == [0.0, 0.0]


def test_a_second_derivative_that_vanishes():
    x = leaf([1.0, -2.0])
    (g,) = td.grad(td.relu(x).sum(), x, create_graph=True)
    assert numbers(td.grad(g.sum(), x)[0]) == [0.0, 0.0]
    (g,) = td.grad((2 * x).sum(), x, create_graph=True)  # a constant, which no longer knows x
    with refused(RuntimeError):
        td.grad(g.sum(), x)


# ---------------------------------------------------------------- higher orders

CUBED = [
    (lambda x: x * x * x, lambda x: 6 + 0 * x),
    (lambda x: x**4, lambda x: 24 * x),
    (lambda x: x**2.5, lambda x: 1.875 * x**-0.5),
    (lambda x: 1 / x, lambda x: -6 / x**4),
    (td.exp, np.exp),
    (td.log, lambda x: 2 / x**3),
    (td.sqrt, lambda x: 0.375 * x**-2.5),
    (td.sin, lambda x: -np.cos(x)),
    (td.cos, np.sin),
    (td.tanh, lambda x: (6 * np.tanh(x) ** 2 - 2) / np.cosh(x) ** 2),
    (softplus, lambda x: np.exp(x) * (1 - np.exp(x)) / (1 + np.exp(x)) ** 3),
    (lambda x: td.sigmoid(x).log(), lambda x: np.exp(x) * (np.exp(x) - 1) / (1 + np.exp(x)) ** 3),
    (lambda x: 2.0**x, lambda x: np.log(2) ** 3 * 2.0**x),
    (lambda x: abs(x) ** 3, lambda x: 6 + 0 * x),
    (lambda x: td.maximum(x, -x) ** 3, lambda x: 6 + 0 * x),
    (lambda x: td.where(x > 0, x**3, x), lambda x: 6 + 0 * x),
    (lambda x: x.reshape(3, 1).expand(3, 2).mean(1) ** 3, lambda x: 6 + 0 * x),
]


@pytest.mark.parametrize("function, third", CUBED)
def test_third_derivatives(function, third):
    x = leaf([0.5, 1.0, 2.0])
    y = function(x)
    for _ in range(3):
        (y,) = td.grad(y.sum(), x, create_graph=True)
    np.testing.assert_allclose(numbers(y), third(x.data), rtol=1e-12)


def test_the_third_derivative_of_a_trilinear_form():
    """d^3 <u, conv(x, w)> / du dx dw along three directions is the form of those directions."""
    u, x, w = (td.randn(*s, dtype=np.float64) for s in ((1, 3, 3, 3), (1, 2, 4, 4), (3, 2, 2, 2)))
    at = [td.randn(*t.shape, dtype=np.float64, requires_grad=True) for t in (u, x, w)]
    derivative = (at[0] * conv2d(at[1], at[2])).sum()
    for point, direction in zip(at, (u, x, w), strict=True):
        (g,) = td.grad(derivative, point, create_graph=True)
        derivative = (g * direction).sum()
    np.testing.assert_allclose(derivative.item(), (u * conv2d(x, w)).sum().item(), rtol=1e-12)


# ---------------------------------------------------------------- anomalies


def test_forward_anomaly_names_op_shapes_and_line():
    x = leaf([[1.0, 0.0]])
    with td.detect_anomaly():
        y = x + td.ones(3, 1, dtype=np.float64)
        line = line_here() + 2
        with refused(FloatingPointError, "Div", "(3, 2)", "(1, 2)", f"{HERE}:{line}"):
            y / x
        line = line_here() + 2
        with refused(FloatingPointError, "Log", "(1, 2)", f"{HERE}:{line}"):
            x.log()


def test_backward_anomaly_names_the_forwards_op_shape_and_line():
    x = leaf([4.0, 0.0])
    with td.detect_anomaly():
        line = line_here() + 1
        y = td.sqrt(x)
        loss = (y * 2).sum()
        with refused(FloatingPointError, "Sqrt", "input 0", "(2,)", f"{HERE}:{line}"):
            loss.backward()
    assert x.grad is None


def test_backward_anomaly_tells_when_the_forward_ran_outside():
    x = leaf([4.0, 0.0])
    loss = td.sqrt(x).sum()
    with td.detect_anomaly(), refused(FloatingPointError, "Sqrt", "not recorded"):
        loss.backward()


def test_an_anomaly_inside_the_package_names_the_line_that_called_it(tmp_path):
    with td.detect_anomaly():
        line = line_here() + 2
        with refused(FloatingPointError, f"{HERE}:{line}"):
            td.zeros(2).std(0) / 0


def test_a_users_folder_that_starts_like_the_package_is_the_users():
    name = engine.__file__.replace("engine.py", "").rstrip("/\\") + "_experiments/net.py"
    code = compile("import tinydeconv as td\n\ntd.zeros(2).log()", name, "exec")
    with td.detect_anomaly(), refused(FloatingPointError, f"{name}:3"):
        exec(code, {})


def test_infinities_that_came_in_are_not_blamed_on_the_op():
    x = leaf([1.0, INF])
    with td.detect_anomaly():
        y = x * 2 + 1
        y.backward(td.tensor([1.0, float("nan")], np.float64))
    assert numbers(y) == [3.0, INF]


def test_without_detection_they_pass_in_silence(recwarn):
    x = leaf([0.0])
    y = x.log() - x.log()
    y.sum().backward()
    assert np.isnan(y.item()) and np.isnan(x.grad.item())
    assert not recwarn.list


def test_silence_is_ours_alone():
    with np.errstate(all="raise"):
        assert td.zeros(1).log().tolist() == [-INF]
        assert (td.ones(1, dtype=np.float16) * 1e9).tolist() == [INF]
        with pytest.raises(FloatingPointError):
            np.log(np.zeros(1))


class Nested(engine.Op):
    """A forward may apply ops, and other threads may be in the middle of the same."""

    linear = True

    def forward(self, x):
        return td.log(td.zeros(1)).data * 0 + x + 1

    def backward(self, g, y, x, needs):
        return g


def test_a_forward_may_apply_ops():
    x = leaf([1.0])
    with np.errstate(all="raise"):
        y = Nested()(x)
    y.backward()
    assert np.isnan(y.item()) and numbers(x.grad) == [1.0]


def test_detection_ends_with_its_block_and_is_per_thread():
    seen = []
    with td.detect_anomaly():
        thread = threading.Thread(target=lambda: seen.append(td.zeros(1).log().item()))
        thread.start()
        thread.join()
        with pytest.raises(FloatingPointError):
            td.zeros(1).log()
    assert seen == [-INF]
    td.zeros(1).log()


# ---------------------------------------------------------------- writing an op


class Misshapen(engine.Op):
    def forward(self, x):
        return x * 2

    def backward(self, g, y, x, needs):
        return g.sum()


class Widened(Misshapen):
    def backward(self, g, y, x, needs):
        return g.double()


class Forgetful(engine.Op):
    def forward(self, a, b):
        return a + b

    def backward(self, g, y, a, b, needs):
        return (g,)


class Bare(Misshapen):
    def backward(self, g, y, x, needs):
        return g.data * 2


def test_a_wrong_backward_is_refused_by_the_walk():
    x = td.ones(2, 3, requires_grad=True)
    with refused(RuntimeError, "Misshapen.backward", "input 0", "()", "(2, 3)"):
        Misshapen()(x).sum().backward()
    with refused(RuntimeError, "Widened.backward", "input 0", "float64", "float32"):
        Widened()(x).sum().backward()
    with refused(ValueError, "Forgetful.backward", 1, 2):
        Forgetful()(x, x).sum().backward()
    with refused(TypeError, "Bare.backward", "input 0", "Tensor", "ndarray"):
        Bare()(x).sum().backward()
    for wrong in (Misshapen, Widened, Forgetful, Bare):
        assert x.grad is None, wrong


def test_nodes_read_like_pytorchs():
    x = leaf(2.0)
    y = x * x
    assert repr(y.grad_fn) == "<MulBackward0>"
    assert x.grad_fn is None and repr(x.node) == "<Leaf>"
    assert [parent is x.node for parent in y.grad_fn.parents] == [True, True]


# ---------------------------------------------------------------- leaves that change their ways


def test_a_frozen_leaf_keeps_its_gradient_and_its_graphs():
    x = leaf([2.0])
    y = x * x
    (x * 3).sum().backward()
    x.requires_grad_(False)
    assert numbers(x.grad) == [3.0] and not (x * x).requires_grad
    x.requires_grad_(True)
    y.backward()
    assert numbers(x.grad) == [3.0 + 4.0]


def test_a_cast_leaf_keeps_its_hooks_and_refuses_older_graphs():
    layer = td.nn.Linear(2, 1, bias=False)
    seen = []
    layer.weight.register_hook(seen.append)
    old = layer.weight.sum()
    layer.double()
    layer.weight.sum().backward()
    assert [g.dtype for g in seen] == [np.float64]
    with refused(RuntimeError, "float64", "float32", "(1, 2)"):
        old.backward()


def test_a_parameter_made_of_another_shares_its_version():
    p = td.nn.Parameter(np.array([2.0]))
    q = td.nn.Parameter(p)
    y = (p * p).sum()
    q.data -= 1
    with refused(RuntimeError, "overwritten"):
        y.backward()


def test_a_leaf_is_not_changed_in_place_and_not_in_silence():
    w, total = leaf([1.0]), td.zeros(1)
    with td.no_grad(), refused(TypeError, "x.data"):
        w -= 0.1
    total += 1
    y = w * 1
    y *= 2
    assert total.tolist() == [1.0] and numbers(y) == [2.0]


def test_switches_can_be_used_again_and_as_decorators():
    off = td.no_grad()
    for _ in range(2):
        with off, off:
            assert not td.is_grad_enabled()
        assert td.is_grad_enabled()

    @td.no_grad
    def bare():
        return td.is_grad_enabled(), on()

    @td.enable_grad()
    def on():
        return td.is_grad_enabled()

    assert bare() == (False, True) and td.is_grad_enabled()
