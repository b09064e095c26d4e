"""The checker itself: every kind of wrong gradient must be caught, and a right one let through."""

import warnings

import numpy as np
import pytest

import tinydeconv as td
from tinydeconv import nn
from tinydeconv.engine import Op
from tinydeconv.gradcheck import (
    GradcheckError,
    GradcheckWarning,
    adjointcheck,
    gradcheck,
    gradgradcheck,
    step_curve,
)

TIGHT = {"rtol": 1e-6, "atol": 1e-8}


def random(*shape, seed=0):
    return td.tensor(np.random.default_rng(seed).standard_normal(shape), requires_grad=True)


class Sin(Op):
    """sin(x) with a backward to be replaced by a wrong one."""

    def __init__(self, backward):
        self._backward = backward

    def forward(self, x):
        return np.sin(x)

    def backward(self, g, y, x, needs):
        return self._backward(g, x)


def failure(check, *args, **options):
    """The report of a check that must raise."""
    with pytest.raises(GradcheckError) as raised:
        check(*args, **options)
    assert not raised.value.report
    assert str(raised.value.report) == str(raised.value)
    return raised.value.report


@pytest.mark.parametrize("directions", [None, 3])
def test_right_gradients_pass_quietly(directions):
    def function(a, n, b, c):
        return td.sin(a) * b, (a.exp() + c) * n

    inputs = random(2, 3), 2, random(3, seed=1), td.tensor([1, 2, 3])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for check in (gradcheck, gradgradcheck):
            report = check(function, inputs, directions=directions, **TIGHT)
            assert report and report.ok and report.status == "right"
    names = [c.name for c in report.comparisons]
    assert names == ["inputs[0]", "inputs[2]", "grad_outputs[0]", "grad_outputs[1]"]
    for comparison in report.comparisons:
        assert comparison.ok and comparison.status == "right"
        assert 0 < comparison.relative < 1e-7 and 0 < comparison.absolute < 1e-7
        assert f"{comparison.name}: right" in str(report)
    first = report.comparisons[0]
    assert first.numeric.shape == first.analytic.shape == ((2, 3) if directions is None else (3,))


def test_an_output_may_be_an_input_itself():
    for check in (gradcheck, gradgradcheck):
        assert check(lambda x, y: (y, x, y), (random(3), random(2)))


def test_0_d_inputs_and_outputs():
    assert gradcheck(td.sin, random()) and gradgradcheck(td.sin, random())
    assert gradcheck(lambda x: td.sin(x).sum(), random(3))
    report = failure(gradcheck, Sin(WRONG["a factor"][0]), random())
    assert report.comparisons[0].index == () and "2 times" in str(report)


WRONG = {
    "a factor": (lambda g, x: 2 * g * td.cos(x), "2 times the numeric"),
    "the sign": (lambda g, x: -g * td.cos(x), "-1 times the numeric"),
    "a transpose": (lambda g, x: (g * td.cos(x)).T, "another order"),
    "a flip": (lambda g, x: (g * td.cos(x)).flip(1), "another order"),
    "rounding": (lambda g, x: (g * td.cos(x)).float().double(), "rounds to float32"),
    "one element": (
        lambda g, x: g * td.cos(x) * td.tensor([[1.0, 1, 1], [1, 1, 1], [1, 0.9, 1]]).double(),
        "1 of 9 elements are wrong, all at [2] of axis 0 and [1] of axis 1",
    ),
    "one channel": (
        lambda g, x: td.cat([(g * td.cos(x))[:2], td.ones(1, 3).double()]),
        "3 of 9 elements are wrong, all at [2] of axis 0",
    ),
    "nothing at all": (lambda g, x: None, "zero though the outputs change"),
    "infinity": (lambda g, x: g / (x - x), "not finite"),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_wrong_gradients_are_caught_with_a_hint(mistake):
    backward, hint = WRONG[mistake]
    report = failure(gradcheck, Sin(backward), random(3, 3), **TIGHT)
    (wrong,) = report.comparisons
    assert report.status == wrong.status == "wrong"
    assert hint in wrong.note and hint in str(report)


@pytest.mark.parametrize("mistake", [m for m in WRONG if m != "rounding"])
def test_random_directions_catch_the_same_mistakes(mistake):
    report = failure(gradcheck, Sin(WRONG[mistake][0]), random(3, 3), directions=2, **TIGHT)
    assert report.comparisons[0].numeric.shape == (2,)


def test_the_message_says_which_input_which_element_and_both_values():
    def backward(g, x):
        return g * td.cos(x) * td.tensor([1.0, 1.0, 3.0]).double()

    report = failure(gradcheck, lambda a, b: a + Sin(backward)(b), (random(3), random(3)))
    right, wrong = report.comparisons
    assert right.ok and not wrong.ok
    assert (wrong.name, wrong.index) == ("inputs[1]", (2,))
    cotangent = right.analytic[2]
    expected = cotangent * np.cos(random(3).data[2])
    np.testing.assert_allclose([wrong.analytic[2], wrong.numeric[2]], [3 * expected, expected])
    a, n = wrong.analytic[2], wrong.numeric[2]
    assert f"inputs[1]: wrong at [2], analytic {a:.9g}, numeric {n:.9g}, relative" in str(report)
    assert wrong.relative == wrong.error[2] == pytest.approx(2, rel=0.1)
    assert gradcheck(Sin(backward), random(3), raise_exception=False).status == "wrong"


def test_outputs_without_a_graph_beside_others_do_not_count():
    assert gradcheck(lambda x: (x * 2, x.detach() * 3, x > 0), random(3))


@pytest.mark.parametrize("inside", [lambda x: x.detach() * 2, lambda x: td.tensor(x.data) * 2])
def test_a_detach_is_caught(inside):
    report = failure(gradcheck, inside, random(3))
    assert "zero though the outputs change" in report.comparisons[0].note
    report = failure(gradcheck, lambda x, y: inside(x) * y, (random(3), random(3)))
    assert [c.status for c in report.comparisons] == ["wrong", "right"]


@pytest.mark.parametrize(
    ("rounded", "hint"),
    [
        (lambda x: x.float().double().sin(), "float32?"),
        (lambda x: x.sin().float().double(), "float32?"),
        (lambda x: x.sin().float(), "must return float64"),
    ],
)
def test_float32_inside_is_caught(rounded, hint):
    assert hint in str(failure(gradcheck, rounded, random(3)))


def test_float32_is_refused_with_the_reason():
    x = td.ones(3, requires_grad=True)
    for check in (gradcheck, gradgradcheck):
        with pytest.raises(
            TypeError, match=r"inputs\[0\] in float64.*float32.*1e-06.*\.double\(\)"
        ):
            check(td.exp, x)
    with pytest.raises(TypeError, match="float64"):
        adjointcheck(lambda x: 2 * x, lambda y: 2 * y, np.ones(3, np.float32))


def test_nothing_that_requires_grad_is_an_error():
    with pytest.raises(ValueError, match="no input requires grad"):
        gradcheck(td.exp, td.ones(3))


SECOND = {
    "an array read": lambda g, x: g * td.Tensor(np.cos(x.data)),
    "a detach": lambda g, x: g * td.cos(x).detach(),
    "rounding": lambda g, x: g * td.cos(x.float()),
    "a cut g": lambda g, x: g.detach() * td.cos(x),
    "a factor": lambda g, x: g * Sin(lambda g, x: 2 * g * td.cos(x))(x + np.pi / 2),
}


@pytest.mark.parametrize("mistake", SECOND)
def test_wrong_at_second_order_alone(mistake):
    function = Sin(SECOND[mistake])
    assert gradcheck(function, random(4), **TIGHT)
    report = failure(gradgradcheck, function, random(4), **TIGHT)
    assert "at second order (at first order: right)" in str(report)
    twice = Sin(WRONG["a factor"][0])
    assert "(at first order: wrong)" in str(
        failure(gradgradcheck, lambda x: twice(x) * x.detach(), random(4))
    )


def test_given_grad_outputs_are_checked_when_they_require_grad():
    g = random(3, seed=2)
    report = gradgradcheck(td.sin, random(3), g)
    np.testing.assert_allclose(report.comparisons[0].analytic.shape, (3,))
    assert [c.name for c in report.comparisons] == ["inputs[0]", "grad_outputs[0]"]
    assert len(gradgradcheck(td.sin, random(3), g.detach()).comparisons) == 1


# ---- kinks ----


def kink(function, values, **options):
    x = td.tensor(np.array(values, dtype=np.float64), requires_grad=True)
    with pytest.warns(GradcheckWarning, match="kink"):
        report = gradcheck(function, x, **options)
    assert report.status == "kink" and not report
    return report.comparisons[0]


def test_a_kink_is_no_wrong_gradient():
    found = kink(td.relu, [1, 0, -1])
    assert found.index == (1,) and "on the left" in found.note
    assert kink(lambda x: x.amax(), [3, 2, 3]).index == (0,)
    assert kink(td.abs, [1, 2, 0], **TIGHT).index == (2,)  # although 0 is the central difference
    assert kink(lambda x: td.maximum(x, x.flip(0)), [1, 1, 2, 1]).index == (0,)
    assert kink(lambda x: td.relu(x) + 1000 * x, [1, 0, 2], **TIGHT).index == (1,)


def test_a_kink_within_a_step_is_no_wrong_gradient():
    assert kink(td.relu, [1, 1e-7, -3e-7]).index == (1,)


def test_a_kink_excuses_no_slope_beyond_its_two_sides():
    class Relu(Op):
        def forward(self, x):
            return np.maximum(x, 0)

        def backward(self, g, y, x, needs):
            return g * td.where(x >= 0, 1.5, 0.0).double()

    failure(gradcheck, Relu(), td.tensor(np.zeros(3), requires_grad=True))


def test_a_wrong_gradient_beside_a_kink_is_wrong():
    x = td.tensor(np.array([0.0, 1.0]), requires_grad=True)
    wrong = failure(gradcheck, lambda x: Sin(WRONG["a factor"][0])(td.relu(x)), x)
    assert wrong.comparisons[0].index == (1,)
    wrong = failure(gradcheck, lambda a, b: Sin(WRONG["a factor"][0])(a) * td.relu(b), (x + 1, x))
    assert [c.status for c in wrong.comparisons] == ["wrong", "kink"]


def test_curvature_is_no_kink():
    assert gradcheck(lambda x: td.sin(1000 * x), random(5), rtol=1e-5, atol=1e-8)


def test_a_jump_is_no_wrong_gradient():
    assert kink(lambda x: x + x // 1, [0.5, 2]).index == (1,)
    x = td.tensor(np.array([2.0]), requires_grad=True)
    failure(gradcheck, lambda x: Sin(WRONG["a factor"][0])(x) + x // 1, x)


# ---- checks that prove nothing ----


@pytest.mark.parametrize(
    "function",
    [
        lambda x: td.softmax(x, 0).sum(),
        lambda x: x // 100,
        lambda x: (x - x.mean()).sum() * x.detach(),
    ],
)
def test_a_derivative_of_zero_proves_nothing(function):
    x = random(4)
    x.data = x.data + 0.3
    with pytest.warns(GradcheckWarning, match="about zero"):
        report = gradcheck(function, x)
    assert report.status == "proves nothing" and not report


def test_a_gradient_that_should_be_zero_and_is_not_is_wrong():
    class Floor(Op):
        def forward(self, x):
            return np.floor(x)

        def backward(self, g, y, x, needs):
            return g

    failure(gradcheck, Floor(), random(3))


def test_an_unused_input_is_named_though_the_other_is_right():
    with pytest.warns(
        GradcheckWarning, match=r"inputs\[1\]: proves nothing.*\n *the outputs do not"
    ):
        report = gradcheck(lambda x, y: td.exp(x), (random(3), random(3)))
    assert report and not report.comparisons[1].ok
    with pytest.warns(GradcheckWarning, match="do not depend"):
        assert not gradcheck(lambda x: td.ones(3).double(), random(3))


def test_second_derivatives_that_are_zero_are_no_reason_to_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report = gradgradcheck(lambda x: 3 * x, random(3))
    assert report.ok and [c.status for c in report.comparisons] == ["proves nothing", "right"]


def test_an_empty_input_proves_nothing():
    with pytest.warns(GradcheckWarning, match="proves nothing"):
        assert not gradcheck(td.exp, random(0, 3))


# ---- functions that cannot be checked ----


def overwrite(x):
    x.data[0] = 7
    return x * 2


def test_a_function_that_overwrites_its_input():
    assert "overwrites inputs[0]" in str(failure(gradcheck, overwrite, random(3)))


def test_a_function_that_is_not_deterministic():
    def dropout(x):
        return x * td.tensor(np.random.default_rng().random(3))

    assert "two runs differ" in str(failure(gradcheck, dropout, random(3)))


def test_a_function_that_is_not_finite():
    x = td.tensor(np.array([1.0, -1.0]), requires_grad=True)
    assert "not finite" in str(failure(gradcheck, td.log, x))


def test_a_function_that_returns_no_tensor():
    with pytest.raises(TypeError, match="returns tensors"):
        gradcheck(lambda x: x.data, random(3))


@pytest.mark.parametrize("options", [{"eps": 0}, {"rtol": -1}, {"atol": float("nan")}])
def test_tolerances_must_be_positive(options):
    with pytest.raises(ValueError, match="positive"):
        gradcheck(td.exp, random(3), **options)


def test_the_users_tensors_stay_as_they_are():
    x = random(3)
    x.grad = td.ones(3).double()
    array, before = x.data, x.data.copy()
    gradcheck(td.exp, x)
    gradgradcheck(td.exp, x)
    assert x.data is array and (x.data == before).all() and (x.grad.data == 1).all()


# ---- modules ----


class Scale:
    """What gradcheck needs of a Module, with a running count."""

    def __init__(self, backward):
        self.weight, self.frozen, self.count = random(3), random(3).detach(), td.tensor(0)
        self.backward = backward

    def named_parameters(self):
        return iter([("weight", self.weight), ("frozen", self.frozen)])

    def buffers(self):
        return iter([self.count])

    def __call__(self, x):
        self.count.data = self.count.data + 1
        return x * Sin(self.backward)(self.weight) + self.frozen


def test_a_modules_parameters_are_checked_by_name():
    module = Scale(lambda g, x: g * td.cos(x))
    array = module.weight.data
    for check in (gradcheck, gradgradcheck):
        report = check(module, random(2, 3), **TIGHT)
        assert report and {"inputs[0]", "weight"} <= {c.name for c in report.comparisons}
        assert module.weight.data is array and module.weight.grad is None
    assert gradcheck(module, random(2, 3).detach())
    wrong = failure(gradcheck, Scale(lambda g, x: 2 * g * td.cos(x)), random(2, 3))
    assert [(c.name, c.status) for c in wrong.comparisons] == [
        ("inputs[0]", "right"),
        ("weight", "wrong"),
    ]
    failure(gradgradcheck, Scale(SECOND["a detach"]), random(2, 3))


def test_a_real_module():
    td.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Tanh()).double()
    x = td.randn(2, 1, 4, 4, dtype=td.float64, requires_grad=True)
    before = {name: b.data.copy() for name, b in module.named_buffers()}
    with pytest.warns(GradcheckWarning, match="0.bias: proves nothing"):  # the norm takes it away
        report = gradcheck(module, x, **TIGHT)
    assert report and [c.name for c in report.comparisons if c.ok] == [
        "inputs[0]",
        "0.weight",
        "1.weight",
        "1.bias",
    ]
    for name, b in module.named_buffers():
        np.testing.assert_array_equal(b.data, before[name])
    assert gradgradcheck(module, x, directions=2)
    assert gradcheck(module.eval(), x, **TIGHT)


def test_a_modules_buffers_are_put_back():
    module = Scale(lambda g, x: g * td.cos(x))
    gradcheck(module, random(2, 3))
    assert module.count.item() == 0


def test_parameters_are_put_back_when_the_module_fails():
    module = Scale(lambda g, x: g * td.cos(x))
    array, calls = module.weight.data, []

    def failing(x):
        calls.append(module.weight.data)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return Scale.__call__(module, x)

    failing.named_parameters = module.named_parameters
    with pytest.raises(KeyboardInterrupt):
        gradcheck(failing, random(2, 3).detach())
    assert module.weight.data is array and calls[-1] is not array


def test_a_module_in_float32_is_refused():
    module = Scale(lambda g, x: g)
    module.weight = td.ones(3, requires_grad=True)
    with pytest.raises(TypeError, match=r"weight in float64.*\.double\(\), on a Module"):
        gradcheck(module, random(2, 3))


# ---- adjoints and steps ----

MATRIX = np.random.default_rng(3).standard_normal((3, 2))


@pytest.mark.parametrize("x", [np.zeros(2), td.zeros(2).double()], ids=["arrays", "Tensors"])
def test_adjoints(x):
    matrix = MATRIX if isinstance(x, np.ndarray) else td.tensor(MATRIX)

    def forward(x):
        return matrix @ x

    assert adjointcheck(forward, lambda y: matrix.T @ y, x)
    for wrong in (lambda y: 2 * (matrix.T @ y), lambda y: (matrix.T @ y) * (1 + 1e-8)):
        report = failure(adjointcheck, forward, wrong, x)
        assert [c.status for c in report.comparisons] == ["right", "wrong"]
    report = failure(adjointcheck, lambda x: matrix @ x + 1e-6, lambda y: matrix.T @ y, x)
    assert report.comparisons[0].status == "wrong"
    assert adjointcheck(forward, lambda y: matrix.T @ y, x, rtol=1e-3)
    with pytest.raises(ValueError, match=r"\(3,\) and \(2,\), got \(3,\) and \(3,\)"):
        adjointcheck(forward, lambda y: y, x)


def test_an_adjoint_of_zero_proves_nothing():
    with pytest.warns(GradcheckWarning):
        assert not adjointcheck(lambda x: 0 * x, lambda y: 0 * y, np.ones(3))


def test_step_curve_has_the_textbook_slopes():
    steps, forward, central = step_curve(td.exp, random(20))
    assert len(steps) == len(forward) == len(central)
    at = {h: int(abs(np.log(steps / h)).argmin()) for h in (1e-12, 1e-6, 1e-4, 1e-2)}
    for errors, order in ((forward, 1), (central, 2)):
        fall = np.log10(errors[at[1e-2]] / errors[at[1e-4]]) / 2
        assert fall == pytest.approx(order, abs=0.2)  # curvature
        assert 1e-7 < errors[at[1e-12]] < 1e-1  # rounding
    assert central[at[1e-6]] < 1e-8
    _, forward, central = step_curve(td.exp, random(20).float().detach().requires_grad_(), [1e-6])
    assert forward[0] > 1e-4 and central[0] > 1e-4  # in float32


def test_a_modules_buffers_are_as_before():
    layer = td.nn.BatchNorm1d(2).double()
    x = td.randn(5, 2, dtype=td.float64, requires_grad=True)
    before = [b.tolist() for b in layer.buffers()]
    assert gradcheck(layer, x) and gradgradcheck(layer, x)
    assert [b.tolist() for b in layer.buffers()] == before
