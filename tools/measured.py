"""Markdown tables between marks of a page, made from a record of what was measured."""

import json
import re
import sys


def table(head, rows):
    """A table in Markdown; all columns but the first are numbers."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def page(record, text, tables):
    """The page's text with the record's tables between its marks; tables: {mark: function}."""

    def filled(found):
        return f"{found[1]}\n{tables[found[2]](record)}{found[3]}"

    return re.sub(r"(<!-- table (\w+) -->)\n.*?(<!-- end -->)", filled, text, flags=re.DOTALL)


def write(measure, record, path, tables):
    """Measures, unless the command line says --write, and writes the record and the page."""
    if "--write" not in sys.argv:
        record.write_text(json.dumps(measure(), indent=1) + "\n", encoding="utf-8")
    told = json.loads(record.read_text(encoding="utf-8"))
    path.write_text(page(told, path.read_text(encoding="utf-8"), tables), encoding="utf-8")
