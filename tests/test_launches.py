"""A kernel that no test launches is noticed."""

import launches
import strict_cupy


def test_what_was_never_launched_is_named():
    names = launches.kernels()
    assert {"conv", "unfold", "adam"} <= names
    assert launches.missing(names) == [] and launches.missing(names - {"adam"}) == ["adam"]


class Session:
    """What the plugin asks of pytest's session."""

    exitstatus = 0

    def __init__(self, config):
        self.config = config


def test_it_fails_the_whole_suite_alone(monkeypatch, request):
    session = Session(request.config)
    for whole, launched, status in ((True, {"adam"}, 1), (False, set(), 0), (True, None, 0)):
        session.exitstatus = 0
        monkeypatch.setattr(launches, "_is_whole", lambda config, whole=whole: whole)
        monkeypatch.setattr(launches, "kernels", lambda: {"conv", "adam"})
        kernels = {"conv", "adam"} if launched is None else launched
        monkeypatch.setattr(strict_cupy, "LAUNCHED", kernels)
        monkeypatch.setattr(launches, "_elsewhere", set())
        monkeypatch.delattr(session.config, "workeroutput", raising=False)
        launches.pytest_sessionfinish(session)
        assert session.exitstatus == status
