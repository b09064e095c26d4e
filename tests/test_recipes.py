"""What all recipes share, and `tinydeconv sample`."""

import dataclasses
import json
import shlex

import numpy as np
import pytest
from PIL import Image
from refusals import refused

import tinydeconv as td
from tinydeconv import cli, models
from tinydeconv.recipes import common
from tinydeconv.recipes.common import check, option
from tinydeconv.recipes.sample import BATCH, sample, samples


@dataclasses.dataclass(frozen=True)
class Some:
    steps: int = option(10, "how many")
    seed: int = option(0, "of all", least=0)
    rate: float = option(0.1, "of learning")
    kind: str = option("a", "which", choices=("a", "b"))
    name: str = option("me", "any")
    sharp: bool = option(True, "or not")
    channels: tuple = (4, 8)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"steps": 0}, ["whole number of at least 1", "steps", 0]),
        ({"steps": 2.5}, ["whole number", "steps", "2.5"]),
        ({"steps": True}, ["whole number", "steps"]),
        ({"steps": "3"}, ["whole number", "steps", "'3'"]),
        ({"seed": -1}, ["at least 0", "seed", "-1"]),
        ({"rate": -0.1}, ["number of at least 0", "rate", "-0.1"]),
        ({"rate": float("inf")}, ["rate"]),
        ({"rate": float("nan")}, ["rate"]),
        ({"rate": "fast"}, ["rate", "'fast'"]),
        ({"kind": "c"}, ["a, b", "kind", "'c'"]),
        ({"sharp": 1}, ["true or false", "sharp", 1]),
        ({"name": ""}, ["a name", "name", "''"]),
        ({"name": 3}, ["a name", "name", 3]),
        ({"channels": ()}, ["channels"]),
        ({"channels": (4, 0)}, ["channels"]),
        ({"channels": ("a",)}, ["channels"]),
    ],
)
def test_settings_are_checked(change, words):
    check(Some())
    check(Some(rate=1))
    with refused(ValueError, *words):
        check(Some(**change))


@pytest.mark.parametrize("name", common.PAGES)
def test_a_recipe_can_be_made_again_from_what_it_wrote_down(name, tmp_path):
    """Settings go through JSON; the command that is noted has every option that is not default."""
    default = common.page(name).RECIPES[name]
    told = json.loads(json.dumps({"recipe": name, **dataclasses.asdict(default)}))
    again = {key: value for key, value in told.items() if key != "recipe"}
    assert type(default)(**again) == default
    assert common.command(told) == f"tinydeconv train {name} --steps {default.steps} --seed 0"

    changed = {}
    for f in dataclasses.fields(default):
        value = getattr(default, f.name)
        if "help" not in f.metadata or f.name in ("classes", "data", "colour", "size"):
            continue
        if isinstance(value, bool):
            changed[f.name] = not value
        elif "choices" in f.metadata:
            changed[f.name] = next(c for c in f.metadata["choices"] if c != value)
        elif isinstance(value, float):
            changed[f.name] = 0.25
        elif isinstance(value, int):
            changed[f.name] = value + 3
    settings = dataclasses.replace(default, **changed)
    command = common.command({"recipe": name, **dataclasses.asdict(settings)}).split()
    options = cli._parser(command[1:]).parse_args(command[1:])
    found = {key: getattr(options, key) for key in changed}
    assert found == changed


@pytest.mark.parametrize("name", common.PAGES)
def test_every_recipe_is_in_the_help(name, capsys):
    assert name in cli.RECIPES
    with pytest.raises(SystemExit):
        cli.main(["train", name, "--help"])
    told = " ".join(capsys.readouterr().out.split())
    default = common.page(name).RECIPES[name]
    for f in dataclasses.fields(default):
        if "help" in f.metadata:
            assert f"--{f.name.replace('_', '-')}" in told
            assert f"(default: {getattr(default, f.name)}" in told


def test_the_checkpoint_of_another_recipe_is_refused(tmp_path):
    settings = dataclasses.replace(common.page("denoise").RECIPES["denoise"], channels=(2, 3))
    common.start("denoise", tmp_path, settings).save()
    path = tmp_path / "checkpoint.safetensors"
    with refused(ValueError, "expected the checkpoint of dcgan, got 'denoise'", path):
        common.resume("dcgan", tmp_path)


@pytest.mark.parametrize("name", ["dcgan", "classify"])
def test_the_command_can_be_pasted_into_a_shell(name):
    settings = dataclasses.replace(common.page(name).RECIPES[name], data="my 'own' pictures; ls")
    words = shlex.split(common.command({"recipe": name, **dataclasses.asdict(settings)}))
    assert words[words.index("--data") + 1] == settings.data


def test_without_git_there_is_no_commit_to_tell(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert common._commit() is None


def test_there_is_soon_something_to_see_and_then_at_equal_stages():
    class Of:
        steps = 1000

    assert sorted(common.stages(Of, 5, print)) == [25, 200, 400, 600, 800, 1000]
    Of.steps = 3
    assert sorted(common.stages(Of, 5, print)) == [1, 2, 3]


# ---------------------------------------------------------------- sample


def generator(classes=0, **more):
    td.manual_seed(0)
    return models.Generator(latent=5, channels=(8, 4, 4), classes=classes, **more)


def test_samples_follow_from_the_seed_alone():
    net = generator()
    td.manual_seed(9)
    expected = td.rand(3)
    td.manual_seed(9)
    first = samples(net, 3, seed=4)
    assert np.array_equal(td.rand(3), expected)  # and leave the random numbers where they were
    assert first.shape == (3, 1, 32, 32) and first.dtype == np.float32
    assert 0 <= first.min() < first.max() <= 1
    assert np.array_equal(samples(net, 3, seed=4), first)
    assert not np.array_equal(samples(net, 3, seed=5), first)
    assert net.training


def test_samples_are_those_of_the_network_in_any_number():
    """In eval mode a picture does not depend on its neighbours, nor on how many are asked for."""
    net, n = generator(), BATCH + 3
    td.manual_seed(4)
    noise = td.randn(n, 5)
    net.eval()
    with td.no_grad():
        expected = (net(noise).numpy() + 1) / 2
    np.testing.assert_allclose(samples(net.train(), n, seed=4), expected, atol=1e-6)


def test_a_conditional_generator_is_asked_for_all_classes_in_turn_or_for_one():
    net = generator(classes=3)
    asked = []
    whole = net.forward
    net.forward = lambda noise, labels: asked.extend(labels.tolist()) or whole(noise, labels)
    samples(net, 7)
    assert asked == [0, 1, 2, 0, 1, 2, 0]
    asked.clear()
    samples(net, 2, label=2)
    assert asked == [2, 2]


def test_a_class_that_is_not_there_is_refused():
    with refused(ValueError, "0 to 2", "class 3"):
        samples(generator(classes=3), 2, label=3)
    with refused(ValueError, "0 to 2", "class -1"):
        samples(generator(classes=3), 2, label=-1)
    with refused(ValueError, "no class", "class 0"):
        samples(generator(), 2, label=0)


def test_the_picture_of_samples(tmp_path):
    models.save(generator(classes=3), tmp_path / "generator.safetensors")
    sample(tmp_path, tmp_path / "a.png", n=6)
    sample(tmp_path / "generator.safetensors", tmp_path / "b.png", n=6)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert Image.open(tmp_path / "a.png").size[0] > 300  # three columns, one a class
    with refused(FileNotFoundError, tmp_path / "nowhere"):
        sample(tmp_path / "nowhere", tmp_path / "c.png", n=6)
    (tmp_path / "empty").mkdir()
    with refused(FileNotFoundError, tmp_path / "empty", "generator.safetensors"):
        sample(tmp_path / "empty", tmp_path / "c.png", n=6)
    models.save(models.Denoiser((2, 3)), tmp_path / "d.safetensors")
    with refused(ValueError, "Generator", "Denoiser", tmp_path / "d.safetensors"):
        sample(tmp_path / "d.safetensors", tmp_path / "c.png", n=6)
    assert not (tmp_path / "c.png").exists()


@pytest.mark.parametrize(
    ("model", "odd"),
    [
        (models.Classifier(), {"size": 10_000}),
        (models.Generator(), {"latent": 250_000}),
        (models.Discriminator(), {"classes": 10**7}),
        (models.SuperResolution(), {"channels": [32, 12, 10**7]}),
    ],
)
def test_a_file_cannot_ask_for_more_memory_than_it_has_weights_for(model, odd, tmp_path):
    path = tmp_path / "w.safetensors"
    told = {"name": type(model).__name__, **model.config, **odd}
    td.save(model.state_dict(), path, {models.KEY: json.dumps(told)})
    with refused(ValueError, path, type(model).__name__, "of another kind"):
        models.load(path)
    models.save(model, path)
    assert models.load(path).config == model.config
