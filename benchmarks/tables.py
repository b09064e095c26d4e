"""Tables in Markdown, which read as plain text too, and what subjects need to make theirs."""

from .arithmetic import median_interval, ratios
from .libraries import NAMES

OURS = "tinydeconv"


def markdown(head, rows):
    """A table whose first column is words and the others numbers."""
    cells = [[str(cell) for cell in row] for row in [head, *rows]]
    widths = [max(3, *map(len, column)) for column in zip(*cells)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines = []
    for first, *others in [cells[0], rule, *cells[1:]]:
        padded = [first.ljust(widths[0]), *map(str.rjust, others, widths[1:])]
        lines.append(f"| {' | '.join(padded)} |")
    return "\n".join(lines)


def peers(record):
    """The other libraries, if they have any of the cases."""
    having = {library for result in record["results"] for library in result["samples"]}
    return [library for library in record["libraries"] if library in having - {OURS}]


def middle(result, library):
    """The median over all rounds."""
    return median_interval(result["samples"][library])[1]


def ratio(result, peer):
    """(low, median, high) of our figure over the peer's."""
    return median_interval(ratios(result["samples"], OURS, peer))


def shared(record, peer):
    """The results to compare with the peer. Both gradients at once are timed for those that cannot
    tell them apart; beside PyTorch's gradients one by one they would count twice.
    """
    twice = {"torch": "both gradients"}.get(peer, "")
    having = [result for result in record["results"] if peer in result["samples"]]
    return [result for result in having if result.get("measure") != twice]


def compare(record, unit, scale):
    """A row a case: the medians of all libraries, then our ratio to each peer and its interval."""
    libraries = [OURS, *peers(record)]
    head = [f"median, {unit}", *map(NAMES.get, libraries)]
    head += [f"over {NAMES[peer]}'s" for peer in peers(record)]
    rows = []
    for result in record["results"]:
        row = [result["name"], *(f"{middle(result, name) * scale:.3g}" for name in libraries)]
        for peer in peers(record):
            low, median, high = ratio(result, peer)
            row.append(f"{median:.2f} ({low:.2f} to {high:.2f})")
        rows.append(row)
    return markdown(head, rows)
