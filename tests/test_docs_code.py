"""The code of docs/training.md, docs/gpu.md and docs/cudasim.md does what they say."""

import re
from pathlib import Path

import pytest
import strict_cupy

from tinydeconv import cuda


def code_of(name):
    text = (Path(__file__).parents[1] / "docs" / name).read_text(encoding="utf-8")
    return "\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL))


TRAINING = code_of("training.md")


def test_a_training_that_was_stopped_ends_as_one_that_never_was(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exec(TRAINING, {})
    assert capsys.readouterr().out.startswith("resumed after epoch 2, last loss 0.")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("    td.set_rng_state", "    # "),
        ("    model.load_state_dict", "    # "),
        ("    optimizer.load_state_dict", "    # "),
        ("    schedule.load_state_dict", "    # "),
        ('"optimizer.{index}.{name}"] = value', '"optimizer.{index}.{name}"] = value * 0'),
        ('return told["epoch"]', "return 0"),
    ],
)
def test_each_piece_of_the_checkpoint_is_needed(tmp_path, monkeypatch, old, new):
    monkeypatch.chdir(tmp_path)
    assert TRAINING.count(old) == 1
    with pytest.raises((AssertionError, ValueError, RuntimeError)):
        exec(TRAINING.replace(old, new), {})


def test_the_lines_for_a_gpu_run():
    whole, corner = 'photograph("camera")', 'photograph("camera")[:32, :32]'  # for speed
    code = code_of("gpu.md")
    assert code.count(whole) == 1
    with strict_cupy.install():
        names = {}
        exec(code.replace(whole, corner), names)
        assert str(names["answer"].device) == "cuda:0" and names["answer"].shape == (1, 1, 32, 32)


def test_the_sentences_about_a_gpu_that_does_not_work_are_those_of_the_code():
    folder = Path(__file__).parents[1]
    page = (folder / "docs" / "gpu.md").read_text(encoding="utf-8")
    for driver in (None, (12, 4), (13, 0)):
        assert re.split("[:;]", cuda._why_no_gpu(13, driver))[0] in page, driver
    for file, words in [
        ("cuda.py", "device 'cuda' needs CuPy, which is not installed"),
        ("cuda.py", "out of memory on cuda:"),
        ("backend.py", "expected all tensors on one device, got "),
        ("backend.py", "there is no "),
        ("kernels/cuda/launch.py", "the CUDA kernels in "),
    ]:
        assert f"`{words}" in page, words
        assert f'"{words}' in (folder / "tinydeconv" / file).read_text(encoding="utf-8"), words


def test_the_lines_about_the_simulator_print_what_the_page_shows(capsys):
    names = {}
    text = (Path(__file__).parents[1] / "docs" / "cudasim.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```\n+```text\n(.*?)```", text, re.DOTALL)
    assert len(blocks) >= 9 and len(blocks) == text.count("```python")
    for code, printed in blocks:
        exec(code, names)
        assert capsys.readouterr().out == printed
