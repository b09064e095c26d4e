"""Runs a lesson's script cell by cell, in fast mode, and keeps what it draws."""

import re
import sys

import matplotlib.pyplot as plt
from test_budgets import ROOT

sys.path.insert(0, str(ROOT / "tools"))
from notebooks import read  # noqa: E402

from tinydeconv import viz  # noqa: E402

TUTORIALS = ROOT / "tutorials"
LESSONS = sorted(path.stem for path in TUTORIALS.glob("*.py"))


class Stopped(Exception):
    """A cell of the lesson raised `error`."""

    def __init__(self, number, error, last):
        super().__init__(f"cell {number} stopped with {type(error).__name__}: {error}")
        self.number, self.error, self.last = number, error, last


class Lesson:
    """The cells of a lesson, and after run() its names and figures."""

    def __init__(self, name):
        self.name, self.cells = name, read(TUTORIALS / f"{name}.py").cells
        self.code = [n for n, cell in enumerate(self.cells) if cell.cell_type == "code"]

    def run(self, monkeypatch, slips=()):
        """Run all cells, with each (old, new) of slips in place in all but the last."""
        self.names, self.figures = {"__name__": "__main__"}, []  # figures: (cell, alt, figure)
        for old, _ in slips:
            assert any(old in self.cells[n].source for n in self.code[:-1]), f"no {old!r} to change"
        monkeypatch.chdir(TUTORIALS)
        monkeypatch.setenv("TINYDECONV_FAST", "1")
        monkeypatch.setattr(plt, "show", refuse)
        for number in self.code:
            monkeypatch.setattr(viz, "show", self.keep(number))
            source = self.cells[number].source
            if number != self.code[-1]:
                for old, new in slips:
                    source = source.replace(old, new)
            try:
                exec(compile(source, f"{self.name}, cell {number}", "exec"), self.names)
            except Exception as error:
                raise Stopped(number, error, number == self.code[-1]) from error
            finally:
                drawn = plt.get_fignums()
                plt.close("all")
            assert not drawn, f"cell {number} drew a figure that it does not show"
        return self

    def keep(self, number):
        def show(alt, figure=None):
            figure = figure or plt.gcf()
            figure.canvas.draw()
            self.figures.append((number, alt, figure))
            plt.close(figure)

        return show

    def exercises(self):
        """(checker's name, answer's name, the solution's code) of each."""
        for number in self.code:
            cell = self.cells[number]
            if "exercise" in cell.metadata.get("tags", []):
                checker, answer = re.fullmatch(r"(\w+)\((\w+)\)", last_line(cell)).groups()
                after = self.cells[number + 1].source
                (solution,) = re.findall(r"```python\n(.*?)```", after, flags=re.DOTALL)
                yield checker, answer, solution


def last_line(cell):
    return cell.source.rstrip().splitlines()[-1]


def refuse():
    raise RuntimeError("a lesson shows its pictures by viz.show, with words for each")
