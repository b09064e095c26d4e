"""The commands `gpu` and `gpu-parity`, and where what they found is kept: for each device a JSON
file of raw samples, Markdown tables and plots, in benchmarks/results.
"""

from importlib.util import find_spec

from tinydeconv.kernels import threads

from . import gpu, gpu_parity, gpu_plots, gpu_tables, record
from .device import RESULTS, Budget, Device, file_name
from .libraries import TorchLike
from .tables import OURS


class Refused(Exception):
    """One sentence: what is missing or not allowed."""


def command(subject, seconds, folder=RESULTS, only="", wanted=None, **options):
    """Runs a subject on the GPU for so many seconds at most; returns the exit code: 1 if something
    of ours was wrong. wanted: the cases or checks, instead of all; options: for its run().
    """
    try:
        device = Device()
    except RuntimeError as error:
        raise Refused(str(error)) from None
    if folder.resolve() == RESULTS and only:
        raise Refused(f"--only gives a part, and {RESULTS} holds whole runs: add --folder DIR")
    if folder.resolve() == RESULTS and device.stand_in:
        raise Refused(f"{RESULTS} holds what real GPUs did, no stand-in for one: add --folder DIR")
    budget = Budget(seconds)
    page = {"gpu": gpu, "gpu-parity": gpu_parity}[subject]
    if wanted is None:
        wanted = gpu.cases() if subject == "gpu" else gpu_parity.checks(device)
    wanted = [case for case in wanted if only.lower() in str(case).lower()]
    if not wanted:
        raise Refused(f"no case of {subject} has {only!r} in it")
    folder.mkdir(parents=True, exist_ok=True)
    measured = new(device, subject, seconds)
    path = folder / f"{file_name(measured['device']['name'])}{SUFFIX[subject]}.json"
    try:
        page.run(device, measured, wanted, budget, lambda: record.save(path, measured), **options)
    finally:  # Ctrl-C too leaves what was measured so far
        written = write(measured, path)
    print("\n\n".join(f"## {heading}\n\n{text}" for heading, text in told(measured)))
    print("\nwritten:", *written)
    return int(failed(measured))


SUFFIX = {"gpu": "", "gpu-parity": "-parity"}


def new(device, subject, seconds):
    """A record without results yet."""
    ours = {OURS: TorchLike(OURS).describe()}
    made = record.new(subject, threads.get_num_threads(), gpu.ROUNDS, ours)
    mine = {"device": device.describe(), "environment": {}, "seconds": seconds, "left_out": []}
    return made | mine


def failed(measured):
    """Whether something of ours was wrong."""
    if measured["subject"] == "gpu":
        return bool(gpu_tables.wrong(measured))
    return bool(gpu_tables.failures(measured))


def told(measured):
    """[(heading, text)] for a screen and for the pages."""
    known = {"gpu": gpu_tables.tables, "gpu-parity": gpu_tables.parity}
    return known[measured["subject"]](measured) if measured["results"] else []


def write(measured, path):
    """The record, all its tables, and its plots where there is matplotlib; returns their paths."""
    record.save(path, measured)
    page = path.with_suffix(".md")
    record.write(page, text(measured))
    drawn = []
    if measured["subject"] == "gpu" and find_spec("matplotlib"):
        drawn = gpu_plots.draw(measured, path)
    return [path, page, *drawn]


def text(measured):
    """The page of a record, with every case."""
    title = {"gpu": "Measured on", "gpu-parity": "Parity with NumPy on"}[measured["subject"]]
    parts = [f"# {title} {measured['device']['name']}", provenance(measured)]
    sections = told(measured)
    if measured["subject"] == "gpu":
        sections = gpu_tables.everything(measured) if measured["results"] else []
    elif measured["results"]:
        sections = [*sections, ("Every check", gpu_tables.every_check(measured))]
    if measured["subject"] == "gpu":
        sections = [*sections, ("How to read this", gpu_tables.HOW)]
    parts += [f"## {heading}\n\n{words}" for heading, words in sections]
    return "\n\n".join(parts) + "\n"


def provenance(measured):
    """What it was measured with."""
    device, machine, ours = (measured[key] for key in ("device", "machine", "libraries"))
    torch, ours = device["torch"], ours[OURS]
    changed = " and changes" if measured["dirty"] else ""
    commit = (measured["commit"] or "unknown")[:9]
    stand_in = (
        " (**a stand-in without a GPU: no time means anything**)" if device["stand_in"] else ""
    )
    beside = ", no PyTorch with CUDA"
    if torch:
        beside = f", PyTorch {torch['version']} with CUDA {torch['cuda']}, cuDNN {torch['cudnn']}"
    return (
        f"`{measured['command']}`, {measured['date'][:10]}, {device['name']}{stand_in}, compute "
        f"capability {device['capability']}, {device['multiprocessors']} multiprocessors, "
        f"{device['memory'] / 1e9:.0f} GB; driver for CUDA {device['driver']}, runtime "
        f"{device['runtime']}, CuPy {device['cupy']}{beside}; tinydeconv {ours['version']} (commit "
        f"{commit}{changed}), Python {ours['python']}, NumPy {ours['numpy']}; CPU: "
        f"{measured['threads']} threads on {machine['cores']} cores of {machine['cpu']}; "
        f"{measured.get('spent', 0):.0f} of {measured['seconds']:.0f} seconds."
    )
