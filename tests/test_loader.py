"""Batches whose bits depend on (seed, epoch, index) alone, whoever makes them and when."""

import threading

import numpy as np
import pytest
from refusals import refused

from tinydeconv.data import Crops, Glyphs, Images, Loader, loader


def same(a, b):
    return len(a) == len(b) and all(
        x.dtype == y.dtype and np.array_equal(x, y) for x, y in zip(a, b)
    )


def threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("prefetch")]


@pytest.fixture(autouse=True)
def no_thread_is_left():
    assert not threads()
    yield
    assert not threads()


def noisy(image, rng):
    return image + rng.standard_normal(image.shape, dtype=np.float32)


NUMBERS = np.arange(11)
FLAT = np.arange(11, dtype=np.float32).reshape(11, 1, 1, 1)
DATA = {
    "glyphs": Glyphs(62, 16, seed=4),
    "crops": Crops(["brick"], size=8, seed=4),
    "images": Images(FLAT, seed=4),
    "images, labels": Images(FLAT, NUMBERS, seed=4),
    "images, labels, transform": Images(FLAT, NUMBERS, seed=4, transform=noisy),
}


@pytest.mark.parametrize("name", DATA)
def test_prefetching_and_resuming_change_no_bit(name):
    data = DATA[name]
    whole = [data.batch(7, range(2 * i, 2 * i + 2)) for i in range(5)]  # made in this thread
    for prefetch in (0, 1, 4, 9):
        loading = Loader(data, 2, 5, prefetch)
        for start in (0, 1, 3, 4, 5):
            rest = list(loading.batches(7, start))
            assert len(rest) == 5 - start
            assert all(map(same, rest, whole[start:]))


@pytest.mark.parametrize("name", DATA)
def test_two_epochs_differ_and_so_do_two_batches(name):
    batches = [batch for epoch in range(3) for batch in Loader(DATA[name], 5, 2).batches(epoch)]
    assert len({batch[0].tobytes() for batch in batches}) == 6


@pytest.mark.parametrize("name", DATA)
def test_an_image_is_the_same_in_any_batch(name):
    data = DATA[name]
    whole = data.batch(2, range(9))
    for indices in ([3], [8, 0, 4], range(2, 6), np.array([1, 7])):
        assert same(data.batch(2, indices), [part[list(indices)] for part in whole])


# ------------------------------------------------------------ images in memory


def test_every_image_comes_once_an_epoch_with_its_label():
    data = Images(100 + FLAT, NUMBERS, seed=1)
    orders = []
    for epoch in range(4):
        images, labels = zip(*Loader(data, 1).batches(epoch))
        orders.append(np.concatenate(labels).tolist())
        assert sorted(orders[-1]) == list(range(11)) != orders[-1]
        assert np.array_equal(np.concatenate(images).ravel() - 100, orders[-1])
    assert len(set(map(tuple, orders))) == 4
    assert Images(FLAT, NUMBERS, seed=2).batch(0, range(11))[1].tolist() != orders[0]


def test_all_orders_are_equally_likely():
    data = Images(FLAT[:3])
    orders = [tuple(data.batch(epoch, range(3))[0].ravel()) for epoch in range(1200)]
    counts = [orders.count(order) for order in set(orders)]
    assert len(counts) == 6 and min(counts) > 150 and max(counts) < 250


def test_what_does_not_fill_a_batch_waits_for_another_epoch():
    loading = Loader(Images(FLAT, NUMBERS), 4)
    assert len(loading) == 2
    for epoch in range(5):
        labels = np.concatenate([labels for _, labels in loading.batches(epoch)])
        assert len(labels) == len(set(labels.tolist())) == 8


def test_a_transform_gets_its_own_generator_of_each_image():
    drawn = {}
    for seed in range(2):
        for epoch in range(2):
            data = Images(0 * FLAT, seed=seed, transform=lambda image, rng: image + rng.random())
            drawn[seed, epoch] = data.batch(epoch, range(11))[0].ravel().tolist()
    assert len({value for values in drawn.values() for value in values}) == 4 * 11


def test_a_transform_sees_unit_floats_and_the_batch_keeps_its_type():
    levels = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)

    def looked_at(image, rng):
        assert image.dtype == np.float32 and image.shape == (1, 16, 16)
        np.testing.assert_allclose(image.ravel(), np.arange(256) / 255, rtol=1e-6)
        return image

    (kept,) = Images(levels, transform=looked_at).batch(0, [0])
    assert kept.dtype == np.uint8 and np.array_equal(kept, levels)
    (bright,) = Images(levels, transform=lambda image, rng: 3 * image - 1).batch(0, [0])
    expected = [min(max(3 * level - 255, 0), 255) for level in range(256)]
    assert bright.dtype == np.uint8 and bright.ravel().tolist() == expected
    (floats,) = Images(FLAT, transform=lambda image, rng: 3 * image).batch(0, range(11))
    assert floats.dtype == np.float32 and sorted(floats.ravel()) == [3 * i for i in range(11)]


def test_images_and_labels_may_stand_in_lists():
    whole, listed = Images(FLAT, NUMBERS), Images(list(FLAT), NUMBERS.tolist())
    assert same(listed.batch(0, range(4)), whole.batch(0, range(4)))


# ------------------------------------------------------------ the thread


class Recorder:
    """A data set that notes what it is asked for; the batch from `bad` on cannot be made."""

    def __init__(self, bad=None):
        self.bad, self.asked, self.makers, self.reached = bad, [], set(), threading.Condition()

    def batch(self, epoch, indices):
        with self.reached:
            self.asked.append(indices[0])
            self.makers.add(threading.current_thread().name)
            self.reached.notify_all()
        if self.bad is not None and indices[0] >= self.bad:
            raise OSError(f"the disk is gone at {indices[0]}")
        return (np.array(indices),)

    def wait_for(self, count):
        with self.reached:
            assert self.reached.wait_for(lambda: len(self.asked) >= count, timeout=60)


@pytest.mark.parametrize("prefetch", [1, 3])
def test_so_many_batches_are_made_ahead_and_no_more(prefetch):
    data = Recorder()
    batches = Loader(data, 1, 9, prefetch).batches(0)
    for used in range(1, 10):
        next(batches)
        ahead = min(used + prefetch, 9)
        data.wait_for(ahead)  # while nobody asks for them
        assert data.asked == list(range(ahead))
    assert list(batches) == []
    assert data.makers == {"prefetch_0"}


def test_without_prefetching_there_is_no_thread():
    data = Recorder()
    for used, _ in enumerate(Loader(data, 1, 5, prefetch=0).batches(0), 1):
        assert not threads() and len(data.asked) == used
    assert data.makers == {threading.main_thread().name}


@pytest.mark.parametrize("prefetch", [0, 1, 2, 4, 9])
def test_an_error_comes_out_at_its_batch(prefetch):
    batches = Loader(Recorder(bad=3), 1, 9, prefetch).batches(0)
    assert [batch.item() for (batch,) in (next(batches) for _ in range(3))] == [0, 1, 2]
    with refused(OSError, "the disk is gone at 3"):
        next(batches)
    assert not threads()


@pytest.mark.parametrize("prefetch", [1, 4])
def test_closing_early_leaves_no_thread(prefetch):
    data = Recorder()
    batches = Loader(data, 1, 1000, prefetch).batches(0)
    next(batches)
    assert len(threads()) == 1
    batches.close()
    assert not threads() and len(data.asked) <= 1 + prefetch

    for _ in Loader(data, 1, 1000, prefetch).batches(0):
        break
    assert not threads()

    with pytest.raises(KeyboardInterrupt):
        for _ in Loader(data, 1, 1000, prefetch).batches(0):
            raise KeyboardInterrupt  # and the traceback holds on to no batches
    assert not threads()

    batches = Loader(data, 1, 1000, prefetch).batches(0)
    next(batches)
    with pytest.raises(KeyboardInterrupt):
        batches.throw(KeyboardInterrupt())
    assert not threads()


def test_closing_waits_for_one_batch_at_most(monkeypatch):
    data, closing = Recorder(), threading.Event()

    class Pool(loader.ThreadPoolExecutor):
        def shutdown(self, **how):
            super().shutdown(wait=False, **how)
            closing.set()
            super().shutdown(**how)

    def batch(epoch, indices):
        Recorder.batch(data, epoch, indices)
        assert indices[0] == 0 or closing.wait(60)  # the second takes until the reader has gone
        return ()

    monkeypatch.setattr(loader, "ThreadPoolExecutor", Pool)
    monkeypatch.setattr(data, "batch", batch)
    batches = Loader(data, 1, 9, prefetch=4).batches(0)
    next(batches)
    data.wait_for(2)
    batches.close()
    assert data.asked == [0, 1]


# ------------------------------------------------------------ bad input


def test_bad_input():
    data = Images(FLAT)
    with refused(ValueError, "Glyphs", "length"):
        Loader(Glyphs(), 4)
    with refused(ValueError, "batch_size", 11, 12):
        Loader(data, 12)
    with refused(ValueError, "batch_size", 1, 0):
        Loader(data, 0)
    with refused(ValueError, "batch_size", 1, -2):
        Loader(Glyphs(), -2, 3)
    with refused(ValueError, "length", 2, 3):
        Loader(data, 4, 3)
    for length in (0, -1):
        with refused(ValueError, "length", 1, length):
            Loader(Glyphs(), 4, length)
    with refused(ValueError, "prefetch", 0, -1):
        Loader(data, 4, prefetch=-1)
    with refused(ValueError, "images"):
        Images(FLAT[:0])
    with refused(ValueError, "labels", 11, 10):
        Images(FLAT, NUMBERS[:10])
