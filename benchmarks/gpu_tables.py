"""What the records of `gpu` and `gpu-parity` say: tables in Markdown, and sentences on the floor
(no kernel of ours is wrong, or slower than unfold + cuBLAS where it is picked) and on the aim
(within twice the time of cuDNN in float32).
"""

from statistics import median

from .arithmetic import geometric_mean, median_interval, ratios
from .gpu import (
    CONTESTANTS,
    CPU,
    DIRECT,
    IMPLICIT,
    LADDER,
    OURS,
    OURS_CPU,
    OURS_TF32,
    PICKED,
    REFERENCE,
    STEPS,
    TOLERANCE,
    TORCH,
    TORCH_TF32,
    UNFOLD,
    UNFOLD_TF32,
)
from .tables import markdown

AIM = 2  # times cuDNN's time
WAITING = 0.9  # of a sample: if Python was busy for so long, the GPU may have waited for it
OFF, ON = "TF32 off", "TF32 on"
STARS = "\\*: Python took as long to order the work as the GPU to do it: the GPU may have waited."
HOW = "\n".join([
    *(f"- *{name}*: {words}." for name, words in CONTESTANTS.items()),
    "- *conv* is the forward pass of a convolution, *conv_transpose* the gradient of its input and "
    "*conv_weight* that of its weight; a transposed convolution goes forward by *conv_transpose* "
    "and has *conv* as the gradient of its input.",
    "- Times are medians between two CUDA events. A ratio is the median of the ratios within each "
    "round, in brackets an interval that encloses the true median with a probability of 95 % (from "
    "6 rounds on; of fewer, all of them lie in it).",
    "- *of matrix product*: GFLOP/s over those of the largest matrix product that cuBLAS was asked "
    "for, in the same precision. *of copy*: bytes a second over those of a copy, if images, "
    "weights and features each go through memory once. The larger says how near the roof is.",
    "- *used*: bytes of all arrays at the peak. *held*: what the library's pool had taken from the "
    "GPU.",
    f"- {STARS}",
])  # fmt: skip


def of_kind(record, kind):
    return [result for result in record["results"] if result["kind"] == kind]


def label(result):
    return f"{result['name']}, {result['kernel']}"


def have(result, *names):
    return all(result["samples"].get(name) for name in names)


def ratio(result, ours, theirs):
    """(low, median, high) of ours over theirs, round by round."""
    return median_interval(ratios(result["samples"], ours, theirs))


def middle(result, name):
    return median(result["samples"][name])


# ---------------------------------------------------------------- the verdict


def verdict(record):
    """What was held and what was not:

    wrong: [(case, contestant, words)]: ours that failed, but for lack of memory, and results too
        far from the CPU's; PyTorch may choose less exact algorithms, but not compute another thing
    floor, aim: {"cases": how many were compared, "over": [(case, ratio)] of those that are slower
        for certain (the whole interval of the ratio is above 1, or above AIM), "waiting": in how
        many of these Python took as long as the GPU, "worst": the pair with the largest ratio}
    """
    found = of_kind(record, "convolution")
    floor = compared(found, PICKED, UNFOLD, 1)
    return {"wrong": wrong(record), "floor": floor, "aim": compared(found, PICKED, TORCH, AIM)}


def compared(results, ours, theirs, limit):
    both = [result for result in results if have(result, ours, theirs)]
    over = [result for result in both if ratio(result, ours, theirs)[0] > limit]
    pairs = [(label(result), ratio(result, ours, theirs)[1]) for result in both]
    return {
        "cases": len(both),
        "over": [(label(result), ratio(result, ours, theirs)[1]) for result in over],
        "waiting": sum(waits(result, ours) for result in over),
        "worst": max(pairs, key=lambda pair: pair[1], default=None),
    }


def wrong(record):
    found = []
    for result in record["results"]:
        case = label(result) if "kernel" in result else f"{result['kind']} {result['name']}"
        for name, words in result["failed"].items():
            if name not in (TORCH, TORCH_TF32) and not words.startswith("out of memory"):
                found.append((case, name, words))
        for name, error in result.get("errors", {}).items():
            allowed = TOLERANCE["TF32" in name or name == TORCH]
            if not error <= allowed:  # nor NaN
                found.append((case, name, f"off by {error:.2g} of the largest number"))
    return found


def sentences(record):
    """The verdict as a Markdown list."""
    said = verdict(record)
    lines = [f"Wrong: {case}, {name}: {words}." for case, name, words in said["wrong"]]
    computed = sum(len(result.get("errors", {})) for result in record["results"])
    if not said["wrong"]:
        lines.append(f"Floor, right: held. All {computed} results are the CPU's but for rounding.")
    goals = [
        ("floor", "Floor", f"slower than {UNFOLD}", UNFOLD),
        ("aim", "Aim", f"more than {AIM} times as slow as cuDNN", "PyTorch with cuDNN"),
    ]
    for key, title, words, other in goals:
        goal = said[key]
        if not goal["cases"]:
            lines.append(f"{title}: not measured, for there are no times of {other}.")
            continue
        held = "missed" if goal["over"] else "held"
        waited = f" (in {goal['waiting']} of these Python took as long as the GPU)"
        name, worst = goal["worst"]
        lines.append(
            f"{title}, {OFF}: {held}. In {len(goal['over'])} of {goal['cases']} cases {PICKED}, "
            f"which the library picks, is {words} for certain"
            f"{waited * bool(goal['waiting'])}; the worst case is {name}, "
            f"{worst:.2f} times the time of {other}."
        )
    if left := record["left_out"]:
        lines.append(f"There was no time for {len(left)} cases: {', '.join(left)}.")
    return "\n".join(f"- {line}" for line in lines)


# ---------------------------------------------------------------- tables


def tables(record):
    """[(heading, text)] for the pages: what a reader wants first."""
    found = [
        ("Floor and aim", sentences(record)),
        ("Ceilings", ceilings(record)),
        ("The ladder", ladder(record)),
        ("Families of layers", families(record)),
        ("Training steps", steps(record)),
        ("Memory of a training step", memory(record)),
    ]
    return [(heading, text) for heading, text in found if text]


def everything(record):
    """The same, and each case by itself."""
    found = [("All layers, TF32 off", each(record)), ("All layers, TF32 on", each_tf32(record))]
    return [*tables(record), *((heading, text) for heading, text in found if text)]


def ceilings(record):
    rows = [
        [place, short(found["gflops"]), short(found["gbs"])]
        for place, found in record.get("ceilings", {}).items()
    ]
    return rows and markdown(["place", "matrix product, GFLOP/s", "copy, GB/s"], rows)


def roof(record, name):
    """The ceilings of the place where a contestant runs."""
    off_cpu = list(record["ceilings"].values())
    return off_cpu[0 if name in (CPU, OURS_CPU) else 2 if "TF32" in name else 1]


def reached(record, result, name):
    """[GFLOP/s, share of the matrix product's, share of the copy's], as words."""
    seconds, top = middle(result, name), roof(record, name)
    gflops, gbs = (result[key] / seconds / 1e9 for key in ("flop", "bytes"))
    return [short(gflops), f"{gflops / top['gflops']:.0%}", f"{gbs / top['gbs']:.0%}"]


def short(number):
    """Three digits, or all before the point."""
    return f"{number:.3g}" if number < 999.5 else f"{number:,.0f}"


def time_of(result, name, unit=1e3):
    """The median, with a star where it may be Python's; or why there is none."""
    if not have(result, name):
        return why_not(result, name)
    seconds = middle(result, name)
    return f"{seconds * unit:.3g}{'*' * waits(result, name)}"


def waits(result, name):
    """Whether Python took as long to order the work as the GPU to do it."""
    return result.get("host", {}).get(name, 0) > WAITING * middle(result, name)


def why_not(result, name):
    """out of memory, or the kind of error; nothing if the contestant did not take part."""
    words = result["failed"].get(name) or result["failed"].get("all") or ""
    return words.partition(":")[0]


def times_as_long(result, ours, theirs):
    """2.00 (1.90 to 2.10)"""
    if not have(result, ours, theirs):
        return ""
    low, middle, high = ratio(result, ours, theirs)
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def ladder(record):
    """The first layer, each rung."""
    found = of_kind(record, "convolution")
    found = [result for result in found if result["name"] == found[0]["name"]]
    head = ["kernel and rung", "TF32", "ms", "GFLOP/s", "of matrix product", "of copy"]
    head += ["times as fast as the CPU"]
    rows = []
    for result in found:
        for name in LADDER:
            rung = [f"{result['kernel']}, {name.removesuffix(', TF32')}"]
            rung += ["on" if "TF32" in name else "off"]
            if have(result, name):
                rung += [time_of(result, name), *reached(record, result, name)]
                gain = middle(result, CPU) / middle(result, name) if have(result, CPU) else None
                rows.append([*rung, gain and f"{gain:.3g}"])
            elif words := time_of(result, name):
                rows.append([*rung, words, *[""] * 4])
    x, w = (found[0][key] for key in "xw") if found else ((), ())
    shapes = f"{found[0]['name']}: images {tuple(x)}, weights {tuple(w)}.\n\n" if found else ""
    return rows and f"{shapes}{markdown(head, rows)}\n\n{STARS}"


AGAINST = [  # (ours, theirs, heading)
    (IMPLICIT, CPU, f"{IMPLICIT} over the CPU, {OFF}"),
    (IMPLICIT, REFERENCE, f"over reference.py, {OFF}"),
    (IMPLICIT, DIRECT, f"over direct, {OFF}"),
    (IMPLICIT, UNFOLD, f"over {UNFOLD}, {OFF}"),
    (IMPLICIT, TORCH, f"over PyTorch, {OFF}"),
    (UNFOLD_TF32, TORCH_TF32, f"{UNFOLD} over PyTorch, {ON}"),
]


def families(record):
    """Geometric means of ratios of times."""
    found = of_kind(record, "convolution")
    columns = [column for column in AGAINST if any(have(result, *column[:2]) for result in found)]
    rows = []
    for family in [*dict.fromkeys(result["family"] for result in found), "all"]:
        row = [family]
        for ours, theirs, _ in columns:
            both = [r for r in found if family in (r["family"], "all") and have(r, ours, theirs)]
            means = [ratio(result, ours, theirs)[1] for result in both]
            row.append(f"{geometric_mean(means):.2f}" if means else "")
        rows.append(row)
    return columns and markdown(["ratio of times", *(head for *_, head in columns)], rows)


def each(record):
    """Milliseconds of every contestant without TF32, and what the picked kernel reaches."""
    names = [name for name in LADDER if "TF32" not in name]
    head = [f"ms, {OFF}", *names, "GFLOP/s", "of matrix product", "of copy"]
    head += [f"over {UNFOLD}", "over PyTorch"]
    rows = []
    for result in in_order(record):
        of_roof = reached(record, result, PICKED) if have(result, PICKED) else [""] * 3
        against = [times_as_long(result, PICKED, other) for other in (UNFOLD, TORCH)]
        times = [time_of(result, name) for name in names]
        rows.append([label(result), *times, *of_roof, *against])
    return rows and markdown(head, rows)


def each_tf32(record):
    names = [UNFOLD_TF32, TORCH_TF32]
    head = [f"ms, {ON}", UNFOLD, TORCH, "GFLOP/s", "of matrix product", "over PyTorch"]
    head += ["error", "over the same, TF32 off"]
    rows = []
    for result in in_order(record):
        of_roof = (
            reached(record, result, UNFOLD_TF32)[:2] if have(result, UNFOLD_TF32) else ["", ""]
        )
        error = result.get("errors", {}).get(UNFOLD_TF32)
        rows.append([label(result), *(time_of(result, name) for name in names), *of_roof])
        rows[-1] += [times_as_long(result, *names), "" if error is None else f"{error:.1e}"]
        rows[-1] += [times_as_long(result, UNFOLD_TF32, UNFOLD)]
    return rows and markdown(head, rows)


def in_order(record):
    """The layers, family by family."""
    found = of_kind(record, "convolution")
    families = list(dict.fromkeys(result["family"] for result in found))
    return sorted(found, key=lambda result: families.index(result["family"]))


def steps(record):
    """Milliseconds of a step."""
    pairs = [(OURS, OURS_CPU, "GPU over CPU"), (OURS, TORCH, f"over PyTorch, {OFF}")]
    pairs += [(OURS_TF32, TORCH_TF32, f"over PyTorch, {ON}")]
    head = ["ms", "CPU", f"GPU, {OFF}", f"GPU, {ON}", f"PyTorch, {OFF}", f"PyTorch, {ON}"]
    rows = [
        [result["name"], *(time_of(result, name) for name in STEPS)]
        + [times_as_long(result, *pair[:2]) for pair in pairs]
        for result in of_kind(record, "step")
    ]
    return rows and markdown([*head, *(head for *_, head in pairs)], rows)


def memory(record):
    """Megabytes at the peak."""
    head = [f"MB, {OFF}", "tinydeconv, used", "held", "PyTorch, used", "held", "used, ratio"]
    rows = []
    for result in of_kind(record, "memory"):
        samples, row = result["samples"], [result["name"]]
        for name in (OURS, TORCH):
            if name in samples:
                row += [f"{samples[name][key] / 1e6:.4g}" for key in ("used", "held")]
            else:
                row += [why_not(result, name), ""]
        used = [samples[name]["used"] for name in (OURS, TORCH) if name in samples]
        rows.append([*row, f"{used[0] / used[1]:.2f}" if len(used) == 2 and used[1] else ""])
    return rows and markdown(head, rows)


# ---------------------------------------------------------------- parity


def parity(record):
    """[(heading, text)]: what was checked, how much was wrong, and the worst error of each part."""
    rows = []
    for part in dict.fromkeys(row["part"] for row in record["results"]):
        for dtype in dict.fromkeys(r["dtype"] for r in record["results"] if r["part"] == part):
            mine = [r for r in record["results"] if (r["part"], r["dtype"]) == (part, dtype)]
            worst = max(mine, key=lambda row: row["error"])
            passed = sum(row["passed"] for row in mine)
            told = [f"{worst['error']:.1e}", worst["case"], f"{passed} of {len(mine)}"]
            rows.append([part, dtype, *told])
    table = markdown(["part", "dtype", "worst relative error", "of", "passed"], rows)
    said = [
        f"- {row['part']}, {row['case']}, {row['dtype']}: {row['details']}"
        for row in failures(record)
    ]
    lines = [f"**{len(said)} checks failed.**", *said] if said else ["Every check passed."]
    lines += [f"TF32: {row['details']}." for row in record["results"] if row["part"] == "TF32"]
    if left := record["left_out"]:
        lines.append(
            f"There was no time for {len(left)} cases, from {left[0]} on; the next run gets "
            "further, for CuPy keeps on disk what it has compiled."
        )
    return [("Parity", "\n".join(lines) + "\n\n" + table)]


def failures(record):
    return [row for row in record["results"] if not row["passed"]]


def every_check(record):
    """All checks, a row each."""
    rows = [
        [
            f"{row['part']}: {row['case']}",
            row["dtype"],
            f"{row['error']:.1e}",
            f"{row['tolerance']:.0e}",
        ]
        + ["pass" if row["passed"] else "**fail**"]
        for row in record["results"]
    ]
    return markdown(["case", "dtype", "worst relative error", "allowed", "result"], rows)
