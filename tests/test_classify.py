"""The classifier: its network, its training with and without folds, and the scores by it."""

import json
import signal
from dataclasses import asdict, replace

import numpy as np
import pytest
import scipy.spatial.distance
import sklearn.datasets
import sklearn.metrics
from PIL import Image
from refusals import refused

import tinydeconv as td
from tinydeconv import models
from tinydeconv.data import GLYPHS, Glyphs, Loader
from tinydeconv.models import Classifier
from tinydeconv.recipes import classify, common
from tinydeconv.recipes import scores as page
from tinydeconv.recipes.classify import Settings, Together
from tinydeconv.recipes.scores import centred, read, scores
from tinydeconv.serialize import load_json

TINY = Settings(data="digits", steps=4, batch_size=4, channels=(2, 3))
rng = np.random.default_rng(0)


def pixels(*shape):
    return rng.integers(256, size=shape, dtype=np.uint8)


def start(folder, settings):
    return common.start("classify", folder, settings)


# ---------------------------------------------------------------- the network


@pytest.mark.parametrize(("size", "channels"), [(8, (2, 3, 4)), (28, (2, 3, 4)), (32, (4, 5))])
def test_logits_and_features(size, channels):
    model = Classifier(7, channels, in_channels=3, size=size)
    x = td.randn(2, 3, size, size)
    assert model(x).shape == (2, 7) and model.features(x).shape == (2, 64)
    model.eval()
    made_of = model.features(x).detach().numpy() @ model.last.weight.data.T
    np.testing.assert_allclose(model(x).detach(), made_of + model.last.bias.data, atol=1e-5)


def test_the_file_brings_back_the_network(tmp_path):
    td.manual_seed(0)
    model = Classifier(3, (2, 4), in_channels=2, size=9)
    x = td.randn(5, 2, 9, 9)
    model(x)  # the norms have seen something
    models.save(model, tmp_path / "w.safetensors")
    again = models.load(tmp_path / "w.safetensors", Classifier)
    assert again.config == {"classes": 3, "channels": [2, 4], "in_channels": 2, "size": 9}
    assert np.array_equal(again.eval()(x).detach(), model.eval()(x).detach())


def test_a_file_that_tells_of_no_channels(tmp_path):
    path, model = tmp_path / "w.safetensors", Classifier(3, (2, 4), size=9)
    told = {"name": "Classifier", **model.config, "channels": []}
    td.save(model.state_dict(), path, {models.KEY: json.dumps(told)})
    with refused(ValueError, "Classifier", path):
        models.load(path)


def test_too_small_an_image_for_the_depth():
    Classifier(10, (2, 2, 2), size=8)
    with refused(ValueError, 8, 3, 7):
        Classifier(10, (2, 2, 2), size=7)


# ---------------------------------------------------------------- reading


def test_the_shipped_weights_read_fresh_glyphs():
    images, labels = Glyphs(seed=77).batch(3, range(2000))
    probabilities, features = read(images)
    assert probabilities.shape == (2000, 10) and features.shape == (2000, 64)
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-5)
    assert features.min() == 0 < features.max()
    assert np.mean(probabilities.argmax(1) == labels) >= 0.995


def test_the_shipped_weights_say_how_they_were_made():
    made = load_json(models.shipped("classifier"), models.KEY)["made"]
    assert made["command"] == "tinydeconv train classify --steps 1000 --seed 1"
    assert models.shipped("classifier").stat().st_size < 400_000


def test_an_image_is_read_alike_in_any_company_and_form(monkeypatch):
    images = Glyphs(seed=1).batch(0, range(7))[0]
    whole = read(images)
    monkeypatch.setattr(page, "BATCH", 3)
    for form in images, images / np.float32(127.5) - 1, images / 127.5 - 1:
        for part, expected in zip(read(form), whole):
            np.testing.assert_allclose(part, expected, atol=1e-5)


def test_reading_leaves_a_network_as_it_was():
    model = Classifier(10, (2, 3), size=8)
    model.train()
    before = {name: x.numpy().copy() for name, x in model.state_dict().items()}
    read(pixels(4, 1, 8, 8), model)
    assert model.training
    assert all(np.array_equal(x, before[name]) for name, x in model.state_dict().items())
    read(pixels(4, 1, 8, 8), model.eval())
    assert not model.training


def test_what_cannot_be_read():
    with refused(ValueError, "uint8", "[-1, 1]", 255):
        read(pixels(2, 1, 32, 32).astype(np.float32) * 0 + 255)
    with refused(ValueError, "float32", "nan"):
        centred(np.full((1, 1, 8, 8), np.nan, np.float32))
    with refused(ValueError, "int64"):
        centred(np.zeros((1, 1, 8, 8), int))
    for shape in [(2, 1, 28, 28), (2, 3, 32, 32), (2, 32, 32), (0, 1, 32, 32)]:
        with refused(ValueError, "(n, 1, 32, 32)", str(shape)):
            read(np.zeros(shape, np.uint8))


# ---------------------------------------------------------------- scores


def test_scores_of_data_of_a_memory_and_of_what_was_not_asked_for():
    data, _ = Glyphs(seed=1).batch(0, range(200))
    samples, labels = Glyphs(seed=2).batch(0, range(200))
    told = scores(samples, data, labels)
    assert told["read as asked"] >= 0.99 and told["classes read"] == 10
    assert told["entropy of the classes read, over its maximum"] > 0.95
    assert told["distance to the nearest of the data, over the data's, median"] > 0.9
    assert told["inception score of classifier features (not Inception)"] > 9
    least = "distance within a class, over the data's, least"
    answers = [(read(x)[0].argmax(1), (x / 127.5 - 1).reshape(200, -1)) for x in (samples, data)]
    means = [
        [scipy.spatial.distance.pdist(x[y == c]).mean() for c in range(10)] for y, x in answers
    ]
    apart = np.divide(*means)
    assert told[least] == pytest.approx(min(apart), rel=1e-5)
    assert told[least.replace("least", "mean")] == pytest.approx(np.mean(apart), rel=1e-5)

    ten = np.stack([samples[labels == c][0] for c in range(10)])
    memory = scores(ten[labels], data, (labels + 1) % 10)
    assert memory[least] == 0 and memory["read as asked"] == 0
    distance = "Frechet distance of classifier features (not Inception)"
    assert memory[distance] > 2 * told[distance]
    copies = scores(data[:100], data)
    assert copies["distance to the nearest of the data, over the data's, median"] == 0
    assert "read as asked" not in copies


def test_scores_want_data_of_every_class():
    data, labels = Glyphs(seed=1).batch(0, range(100))
    with refused(ValueError, 10, "none or one of 1"):
        scores(data, data[labels != 3])


# ---------------------------------------------------------------- what is learned from


def test_glyphs_that_are_measured_on_are_never_learned_from(monkeypatch):
    monkeypatch.setattr(classify, "MEASURED", 20)
    (learned, measured), *none = classify._parts(Settings(seed=3))[0].values()
    assert not none and learned.seed == 3
    for found, expected in zip(measured, Glyphs(seed=classify.FRESH).batch(0, range(20))):
        assert np.array_equal(found, expected)
    with refused(ValueError, "another seed", classify.FRESH):
        Settings(seed=classify.FRESH)


def test_each_digit_is_left_out_of_one_fold():
    parts, names = classify._parts(TINY)
    assert names == "0123456789" and list(parts) == [
        *(f"augmented {fold}" for fold in range(1, 6)), *(f"plain {fold}" for fold in range(1, 6)),
    ]  # fmt: skip
    images, labels = sklearn.datasets.load_digits(return_X_y=True)
    known = {np.rint(x * 255 / 16).astype(np.uint8).tobytes(): y for x, y in zip(images, labels)}
    for kind in "augmented", "plain":
        left_out = []
        for fold in range(1, 6):
            data, (held_out, of_held_out) = parts[f"{kind} {fold}"]
            assert (data.transform is None) == (kind == "plain")
            learned = {image.tobytes() for image in data.images}
            assert not learned & {image.tobytes() for image in held_out}
            assert len(held_out) + len(data) == 1797 and len(held_out) in (359, 360)
            for image, label in [*zip(data.images, data.labels), *zip(held_out, of_held_out)]:
                assert known[image.tobytes()] == label
            left_out += [image.tobytes() for image in held_out]
        assert len(left_out) == 1797 and {*left_out} == {*known}


def test_the_seed_shuffles_the_folds_and_without_augmentation_there_are_half_as_many():
    def first(settings):
        parts, _ = classify._parts(settings)
        return len(parts), next(iter(parts.values()))[1][1]

    count, labels = first(TINY)
    again, other = first(replace(TINY, seed=1, augment=False))
    assert (count, again) == (10, 5) and not np.array_equal(labels, other)


def test_mnist_has_a_test_set_of_its_own(monkeypatch):
    sets = {train: (pixels(60 if train else 20, 1, 28, 28), np.arange(60 if train else 20) % 10)
            for train in (True, False)}  # fmt: skip
    monkeypatch.setitem(classify.MNIST, "fashion-mnist", lambda train: sets[train])
    parts, _ = classify._parts(replace(TINY, data="fashion-mnist"))
    assert list(parts) == ["augmented 1", "plain 1"]
    for data, (images, labels) in parts.values():
        assert data.images is sets[True][0] and data.labels is sets[True][1]
        assert images is sets[False][0] and labels is sets[False][1]


def folder_of(path, **counts):
    for name, count in counts.items():
        (path / name).mkdir(parents=True)
        for number in range(count):
            Image.fromarray(pixels(20, 20)).save(path / name / f"{number}.png")
    return str(path)


def test_a_folder_of_ones_own(tmp_path):
    data = folder_of(tmp_path / "pets", cat=6, dog=9)
    training = start(tmp_path / "run", replace(TINY, data=data, size=16, batch_size=2))
    assert len(training.networks) == 10
    table = classify.train(training)
    assert "15 held-out images" in table and "cat" in table and "dog" in table
    told = json.loads((tmp_path / "run" / "results.json").read_text(encoding="utf-8"))
    assert told["names"] == ["cat", "dog"] and np.sum(told["confusion"], 1).tolist() == [6, 9]


def test_batches_come_side_by_side():
    loaders = [Loader(Glyphs(seed=seed), 2, length=3) for seed in (1, 2)]
    together = list(Together(loaders).batches(4, start=1))
    assert len(together) == 2
    for seed, (images, labels) in zip((1, 2), together[1]):
        expected, of_expected = Glyphs(seed=seed).batch(4, [4, 5])
        assert np.array_equal(images, expected) and np.array_equal(labels, of_expected)


# ---------------------------------------------------------------- training


def test_the_networks_begin_alike_and_then_differ(tmp_path):
    training = start(tmp_path, TINY)

    def weights():
        return [n.body[0].weight.data.tobytes() for n in training.networks.values()]

    assert len({*weights()}) == 1
    training.run()
    assert len({*weights()}) == 10
    assert list(training.losses) == ["augmented", "plain"]


def test_stopped_after_two_steps_it_ends_with_the_same_bits(tmp_path):
    whole = start(tmp_path / "whole", TINY)
    whole.run()
    training = start(tmp_path / "stopped", TINY)
    with pytest.raises(KeyboardInterrupt):
        training.run(stages={2: lambda: signal.raise_signal(signal.SIGINT)})
    training = common.resume("classify", tmp_path / "stopped")
    assert training.step == 2
    training.run()
    for name, network in whole.networks.items():
        for key, x in network.state_dict().items():
            assert np.array_equal(x, training.networks[name].state_dict()[key])
    assert training.losses == whole.losses


def test_sixty_steps_lower_the_loss(tmp_path, monkeypatch):
    monkeypatch.setattr(classify, "MEASURED", 10)
    settings = Settings(size=16, steps=60, batch_size=16, channels=(8, 16), max_lr=0.02)
    training = start(tmp_path, settings)
    training.run()
    losses = training.losses["glyphs"]
    assert np.mean(losses[-5:]) < 0.5 * np.mean(losses[:5])


def test_what_a_training_leaves_behind(tmp_path):
    training = start(tmp_path / "new" / "run", TINY)
    table = classify.train(training)
    folder = tmp_path / "new" / "run"
    names = ["checkpoint.safetensors", "hardest.png", "losses.png", "metrics.jsonl"]
    names += ["results.json", "table.txt", "weights.safetensors"]
    assert sorted(p.name for p in folder.iterdir()) == names
    assert table == (folder / "table.txt").read_text(encoding="utf-8")
    told = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    assert told["training"] == json.loads(json.dumps({"recipe": "classify", **asdict(TINY)}))

    parts, _ = classify._parts(TINY)
    answers, labels = [], []
    for fold, accuracy in enumerate(told["accuracy"]["augmented"], 1):
        images, of_images = parts[f"augmented {fold}"][1]
        network = training.networks[f"augmented {fold}"].eval()
        answers += list(network(td.tensor(images / np.float32(127.5) - 1)).data.argmax(1))
        labels += list(of_images)
        fifth = answers[-len(of_images) :]
        assert accuracy == pytest.approx(sklearn.metrics.accuracy_score(of_images, fifth))
    confusion = sklearn.metrics.confusion_matrix(labels, answers, labels=range(10))
    assert told["confusion"] == confusion.tolist()
    mean = sklearn.metrics.accuracy_score(labels, answers)
    assert f"{1797 - round(1797 * mean)} of 1797 mistaken" in table
    for kind, of in told["accuracy"].items():
        assert f"{kind:10} {100 * np.mean(of):.2f} % right" in table
    first = models.load(folder / "weights.safetensors", Classifier)
    assert np.array_equal(first.last.weight.data, training.networks["augmented 1"].last.weight.data)
    rows = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    row = json.loads(rows[-1])
    assert row["accuracy, plain"] == pytest.approx(np.mean(told["accuracy"]["plain"]))


def test_the_table_tells_the_confusions():
    confusion = np.array([[5, 0, 2], [1, 7, 0], [0, 0, 9]])
    right = {"glyphs": [np.arange(24) < 21]}
    table = classify._table(Settings(), right, confusion, "0Ol")
    lines = table.splitlines()
    assert lines[:2] == ["24 fresh glyphs of 3 classes", "glyphs     87.50 % right"]
    assert lines[3:6] == ["glyphs: 3 of 24 mistaken", "  0 read as l: 2", "  O read as 0: 1"]
    assert lines[-1].split() == ["l", "0", "0", "9"]


def test_the_table_compares_the_kinds():
    right = {
        "augmented": [np.array([1, 1, 0, 0]) > 0, np.array([1, 1]) > 0],
        "plain": [np.array([0, 0, 0, 1]) > 0, np.array([1, 1]) > 0],
    }
    table = classify._table(TINY, right, np.diag([2, 2]) + [[0, 2], [0, 0]], "01")
    assert table.splitlines()[:4] == [
        "6 held-out images of digits, 5-fold cross-validation",
        "augmented  75.00 % right (50.00, 100.00)",
        "plain      62.50 % right (25.00, 100.00)",
        "right with augmented alone 2, with plain alone 1",
    ]


def test_the_letters_too(monkeypatch):
    monkeypatch.setattr(classify, "MEASURED", 500)
    parts, names = classify._parts(Settings(classes=62))
    assert names == GLYPHS and max(parts["glyphs"][1][1]) == 61


# ---------------------------------------------------------------- bad input


def test_bad_settings(tmp_path):
    with refused(ValueError, "glyphs", "digits", "mnist", "fashion-mnist", "'mnits'"):
        start(tmp_path, Settings(data="mnits"))
    with refused(ValueError, 10, 62, 11):
        start(tmp_path, Settings(classes=11))
    with refused(ValueError, 16, 32, 64, 20):
        start(tmp_path, Settings(size=20))
    with refused(ValueError, 16, 4, 8):
        start(tmp_path, replace(TINY, channels=(2, 2, 2, 2)))
    with refused(ValueError, "steps", 0):
        Settings(steps=0)
    with refused(ValueError, 1437, 2000):
        start(tmp_path, replace(TINY, batch_size=2000))
    assert not list(tmp_path.iterdir())


def test_bad_folders(tmp_path):
    one = folder_of(tmp_path / "one", cat=6)
    with refused(ValueError, 6, "in 1", one):
        start(tmp_path / "run", replace(TINY, data=one))
    few = folder_of(tmp_path / "few", cat=2, dog=2)
    with refused(ValueError, 5, 4, "in 2", few):
        start(tmp_path / "run", replace(TINY, data=few))
    small = folder_of(tmp_path / "small", cat=6, dog=6)
    with refused(ValueError, 4, 2, 3):
        start(tmp_path / "run", replace(TINY, data=small, size=3))
    assert not (tmp_path / "run").exists()


# ---------------------------------------------------------------- slowly


@pytest.mark.slow
def test_a_classifier_of_another_seed_reads_the_same(tmp_path):
    training = start(tmp_path, Settings(seed=2, steps=400))
    training.run()
    images, _ = Glyphs(seed=78).batch(0, range(2000))
    other = read(images, training.networks["glyphs"])[0].argmax(1)
    assert np.mean(other == read(images)[0].argmax(1)) >= 0.995


@pytest.mark.slow
def test_real_digits_in_four_hundred_steps(tmp_path):
    training = start(tmp_path, Settings(data="digits", augment=False, steps=400))
    classify.train(training)
    told = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert np.mean(told["accuracy"]["plain"]) >= 0.98
