"""python -m benchmarks SUBJECT: tinydeconv beside other libraries, on this machine."""

import argparse
import signal
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from . import harness, record, report
from .libraries import NAMES, PEERS
from .plots import draw
from .tables import OURS, middle, ratio

SUBJECTS = ["kernels", "steps", "engine", "memory", "scaling"]
SHOWN = ["family", "name", "measure", "size"]  # of a case, while it runs


class Parser(argparse.ArgumentParser):
    def error(self, message):
        self.exit(2, f"{self.prog}: {message}\n")


def whole(text):
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got {text!r}")
    return int(text)


def output(text):
    path = Path(text)
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {path.parent} to write {path} into")
    return path


def parser():
    made = Parser(prog="python -m benchmarks", description=__doc__)
    commands = made.add_subparsers(dest="subject", required=True, metavar="SUBJECT")
    for name in SUBJECTS:
        command = commands.add_parser(name, help=import_module(f"benchmarks.{name}").HELP)
        option = command.add_argument
        option("--against", nargs="+", choices=PEERS, default=["torch"], metavar="LIBRARY",
               help=f"any of {', '.join(PEERS)} (default: torch)")  # fmt: skip
        option("--json", type=output, metavar="FILE", help="keep the raw samples")
        option("--plot", type=output, metavar="FILE", help="draw them")
        option("--only", default="", metavar="TEXT", help="cases whose description holds the text")
        option("--rounds", type=whole, default=9, metavar="N", help="turns of each (default: 9)")
        option("--threads", type=whole, default=record.cores(), metavar="N",
               help="of each library (default: one for each core)")  # fmt: skip
    commands.add_parser("report", help="write docs/performance.md anew from docs/performance")
    return made


def main(words=None):
    command_line = parser()
    chosen = command_line.parse_args(words)
    if chosen.subject == "report":
        return report.write()
    if not hasattr(signal, "SIGSTOP"):
        command_line.error("the libraries take turns by SIGSTOP, which this system has not")
    libraries = [OURS, *filter(is_there, dict.fromkeys(chosen.against))]
    if chosen.plot and not find_spec("matplotlib"):
        command_line.error("--plot draws with matplotlib: python -m pip install matplotlib")
    if chosen.plot and libraries == [OURS] and chosen.subject != "scaling":
        command_line.error("--plot draws ratios, and no other library is installed")
    subject = import_module(f"benchmarks.{chosen.subject}")
    cases = [{"subject": chosen.subject, **case} for case in subject.cases(libraries)]
    cases = [case for case in cases if chosen.only.lower() in description(case).lower()]
    if not cases:
        command_line.error(f"no case of {chosen.subject} holds the text {chosen.only!r}")
    measured = measure(cases, libraries, chosen.threads, chosen.rounds)
    if chosen.json:
        record.save(chosen.json, measured)
    if chosen.plot:
        draw(measured, chosen.plot)
    print("\n\n".join(subject.tables(measured)))


def is_there(peer):
    if find_spec(peer):
        return True
    missing = f"{NAMES[peer]} is not installed and takes no part"
    print(f"{missing}; to get it: python -m pip install {PEERS[peer]}", file=sys.stderr)
    return False


def description(case):
    return " ".join(map(str, case.values()))


def measure(cases, libraries, threads, rounds):
    """The record of all cases; says on stderr how it goes."""
    free, err = record.available_memory(), sys.stderr
    with harness.workers(libraries, threads) as started:
        said = {library: worker.ask("hello") for library, worker in started.items()}
        measured = record.new(cases[0]["subject"], threads, rounds, said)
        for number, case in enumerate(cases, 1):
            print(
                f"{number}/{len(cases)}", *(case.get(key, "") for key in SHOWN), end=" ", file=err
            )
            err.flush()
            need = 3 * len(libraries) * case.get("bytes", 0)  # all hold it, and some hold copies
            if need > free:
                print(f"left out: needs {need / 1e9:.1f} GB, {free / 1e9:.1f} are free", file=err)
                continue
            if case["subject"] == "memory":
                samples = harness.peaks(libraries, threads, case, rounds)
            else:
                samples = harness.times(started, case, rounds)
            result = case | {"samples": samples}
            measured["results"].append(result)
            print(*(outcome(result, library) for library in samples), sep=", ", file=err)
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
