"""What is kept of a run: the raw samples, and all that they may depend on."""

import json
import os
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from .harness import KEEP_MEMORY, ROOT


def new(subject, threads, rounds, libraries):
    """A record without results yet. libraries: {name: what its worker says of it}."""
    commit = git("rev-parse", "HEAD")
    code = "tinydeconv", "benchmarks", ":(exclude)benchmarks/results"
    return {
        "subject": subject,
        "command": shlex.join(["python", "-m", "benchmarks", *sys.argv[1:]]),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit,
        "dirty": commit and bool(git("status", "--porcelain", "--", *code)),
        "machine": machine(),
        "threads": threads,
        "rounds": rounds,
        "environment": {} if subject == "memory" else KEEP_MEMORY,
        "libraries": libraries,
        "results": [],
    }


def git(*arguments):
    """What git says of the checkout, or None where there is no git or no checkout."""
    command = ["git", "-C", str(ROOT), *arguments]
    try:
        return subprocess.check_output(command, stderr=subprocess.DEVNULL, encoding="utf-8").strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def machine():
    return {
        "cpu": cpu_model(),
        "cores": cores(),
        "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),  # bytes
        "system": platform.platform(),
    }


def cores():
    """How many cores this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS
    return len(affinity(0)) if affinity else os.cpu_count()


def cpu_model():
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def available_memory():
    """Bytes that a process could have now; where the system does not tell, all there is."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
        (line,) = [line for line in lines if line.startswith("MemAvailable")]
        return int(line.split()[1]) * 1024
    except OSError:
        return machine()["memory"]


def spent():
    """Seconds of all cores: (spent by whatever runs, of that by us and those we waited for)."""
    ours = sum(os.times()[:4])
    try:
        line = Path("/proc/stat").read_text(encoding="utf-8").splitlines()[0]
    except OSError:  # not on macOS: as if nobody else were there
        return ours, ours
    user, nice, system, idle, waiting, *rest = map(int, line.split()[1:9])
    return (user + nice + system + sum(rest)) / os.sysconf("SC_CLK_TCK"), ours


def write(path, text):
    """The whole file or nothing."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


def save(path, record):
    """A result a line."""
    results = ",\n  ".join(map(json.dumps, record["results"]))
    text = json.dumps(record | {"results": None}, indent=1)
    write(path, text.replace('"results": null', f'"results": [\n  {results}\n ]') + "\n")


def load(path):
    return json.loads(path.read_text(encoding="utf-8"))
