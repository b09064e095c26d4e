"""python -m benchmarks SUBJECT: tinydeconv beside other libraries, on this machine."""

import argparse
import signal
import sys
import time
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from . import gan, harness, record, report, upsampling
from .gpu_results import Refused
from .libraries import NAMES, PIP
from .plots import draw
from .tables import OURS, middle, ratio

SUBJECTS = {name: import_module(f"benchmarks.{name}") for name in [
    "kernels", "steps", "engine", "memory", "scaling",
]}  # fmt: skip


ON_GPU = {  # these measure tinydeconv on a GPU, in one process
    "gpu": "convolutions and training steps on a GPU beside the CPU, and beside PyTorch's cuDNN",
    "gpu-parity": "whether a GPU computes what NumPy does; exit code 1 if anything is wrong",
}


class Parser(argparse.ArgumentParser):
    def error(self, message):
        self.exit(2, f"{self.prog}: {message}\n")


def whole(text):
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got {text!r}")
    return int(text)


def number(text):
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 0, got {text!r}")
    return int(text)


def output(text):
    if not Path(text).parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {Path(text).parent} for {text}")
    return Path(text)


def command_line():
    parser = Parser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(dest="subject", required=True, metavar="SUBJECT")
    for name, page in SUBJECTS.items():
        option = commands.add_parser(name, help=page.HELP, description=page.HELP).add_argument
        option("--against", nargs="+", choices=PIP, default=["torch"], help="default: torch")
        option("--json", type=output, metavar="FILE", help="keep the raw samples")
        option("--plot", type=output, metavar="FILE", help="draw them")
        option("--only", default="", metavar="TEXT", help="the cases that have TEXT in them")
        option(
            "--rounds",
            type=whole,
            default=9,
            metavar="N",
            help="turns of each library (default: 9)",
        )
        option(
            "--threads", type=whole, default=record.cores(), metavar="N", help="default: all cores"
        )
    for name, words in ON_GPU.items():
        option = commands.add_parser(name, help=words, description=words).add_argument
        option(
            "--seconds", type=whole, default=420, metavar="N", help="default: 420, seven minutes"
        )
        option("--only", default="", metavar="TEXT", help="the cases that have TEXT in them")
        option("--folder", type=Path, metavar="DIR", help="default: benchmarks/results")
    option = commands.add_parser("gan", help=gan.HELP, description=gan.HELP).add_argument
    option("--seeds", nargs="+", type=number, default=[0, 1, 2], metavar="N", help="default: 0 1 2")
    option("--only", choices=gan.LIBRARIES, help="default: both")
    option("--json", type=output, required=True, metavar="FILE", help="add to this record")
    option("--steps", type=whole, metavar="N", help="default: the recipe's")
    option("--threads", type=whole, default=record.cores(), metavar="N", help="default: all cores")
    option = commands.add_parser(
        "upsampling", help=upsampling.HELP, description=upsampling.HELP
    ).add_argument
    option("--seeds", nargs="+", type=number, default=[0, 1], metavar="N", help="default: 0 1")
    option("--json", type=output, required=True, metavar="FILE", help="add to this record")
    option("--steps", type=whole, metavar="N", help=f"default: {upsampling.STEPS}")
    option("--threads", type=whole, default=record.cores(), metavar="N", help="default: all cores")
    commands.add_parser("report", help="write the tables and plots in docs from the records")
    return parser


def main(words=None):
    parser = command_line()
    chosen = parser.parse_args(words)
    if chosen.subject == "report":
        return report.write()
    if chosen.subject in ON_GPU:
        return on_gpu(parser, chosen)
    if not hasattr(signal, "SIGSTOP"):
        parser.error("libraries take turns by SIGSTOP, which only Linux and macOS have")
    if chosen.subject == "gan":
        return of_gan(parser, chosen)
    if chosen.subject == "upsampling":
        return of_upsampling(parser, chosen)
    page = SUBJECTS[chosen.subject]
    libraries = [OURS, *(peer for peer in dict.fromkeys(chosen.against) if takes_part(peer, page))]
    if chosen.plot and not find_spec("matplotlib"):
        parser.error("--plot draws with matplotlib: python -m pip install matplotlib")
    if chosen.plot and libraries == [OURS] and chosen.subject != "scaling":
        parser.error("--plot draws ratios, and there is no other library")
    cases = [{"subject": chosen.subject, **case} for case in page.cases(libraries)]
    cases = [case for case in cases if chosen.only.lower() in str(case.values()).lower()]
    if not cases:
        parser.error(f"no case of {chosen.subject} has {chosen.only!r} in it")
    measured = measure(cases, libraries, chosen.threads, chosen.rounds)
    if chosen.json:
        record.save(chosen.json, measured)
    if chosen.plot:
        draw(measured, chosen.plot)
    print("\n\n".join(page.tables(measured)))


def on_gpu(parser, chosen):
    from .gpu_results import RESULTS, command

    folder = chosen.folder or RESULTS
    try:
        return command(chosen.subject, chosen.seconds, folder, chosen.only)
    except Refused as sentence:
        parser.error(str(sentence))


def of_gan(parser, chosen):
    libraries = [chosen.only] if chosen.only else gan.LIBRARIES
    libraries = [name for name in libraries if name == OURS or takes_part(name, gan)]
    if not libraries:
        return 2
    try:
        return gan.command(libraries, chosen.seeds, chosen.json, chosen.steps, chosen.threads)
    except Refused as sentence:
        parser.error(str(sentence))


def of_upsampling(parser, chosen):
    try:
        return upsampling.command(chosen.seeds, chosen.json, chosen.steps, chosen.threads)
    except Refused as sentence:
        parser.error(str(sentence))


def takes_part(peer, page):
    if peer not in page.PEERS:
        say(f"{NAMES[peer]} takes no part: it has nothing of the kind")
    elif not find_spec(peer):
        say(f"{NAMES[peer]} takes no part: to install it, python -m pip install {PIP[peer]}")
    else:
        return True
    return False


def say(*words, **options):
    """On stderr, for stdout has the tables."""
    print(*words, file=sys.stderr, flush=True, **options)


def measure(cases, libraries, threads, rounds):
    """The record of all cases; tells how it goes."""
    free, start, before = record.available_memory(), time.monotonic(), record.spent()
    with harness.workers(libraries, threads) as started:
        said = {library: worker.ask("hello") for library, worker in started.items()}
        measured = record.new(cases[0]["subject"], threads, rounds, said)
        for number, case in enumerate(cases, 1):
            names = [str(case[key]) for key in ("name", "size", "measure") if key in case]
            say(f"{number}/{len(cases)} {' '.join(names)}: ", end="")
            # Some libraries hold copies of what they compute with; DeZero and MyGrad unfold it all.
            copies = sum(25 if library in ("dezero", "mygrad") else 3 for library in libraries)
            if (need := copies * case.get("bytes", 0)) > free:
                say(f"left out, for it needs {need / 1e9:.1f} GB and {free / 1e9:.1f} are free")
                continue
            if case["subject"] == "memory":
                samples = harness.peaks(libraries, threads, case, rounds)
            else:
                samples = harness.times(started, case, rounds)
            result = case | {"samples": samples}
            measured["results"].append(result)
            say(*(outcome(result, library) for library in samples), sep=", ")
    all_, ours = (after - was for after, was in zip(record.spent(), before))
    measured["others"] = (all_ - ours) / (time.monotonic() - start)
    if measured["others"] > 0.05:
        say(f"The figures mean little: others kept {measured['others']:.2f} cores busy meanwhile.")
    return measured


def outcome(result, library):
    if library == OURS:
        return f"{middle(result, OURS):.3g} {'bytes' if result['subject'] == 'memory' else 's'}"
    low, median, high = ratio(result, library)
    return f"{median:.2f} ({low:.2f} to {high:.2f}) of {NAMES[library]}'s"


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # ends the workers on the way
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
    except RuntimeError as error:
        sys.exit(f"python -m benchmarks: {error}")
