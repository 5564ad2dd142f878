"""A mistake in a call of a benchmark is one line, as in the program's own commands."""

import importlib.util
import sys

from petl_core.errors import ConfigError
from petl_core.files import ROOT
from petl_core.runs import tuned


def script(name: str):
    """A script of benchmarks/ as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "benchmarks" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_an_unknown_section_is_named(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["study_time.py", "--section", "mine"])
    assert script("study_time").main() == 2
    assert capsys.readouterr().err.startswith("error: study.yaml: no section mine; known: study")


def test_missing_tuned_settings_are_named(monkeypatch, capsys):
    def fill(fields, path):
        raise ConfigError(f"tuned: there is no {path}")

    monkeypatch.setattr(sys, "argv", ["variants.py", "stale"])
    monkeypatch.setattr(tuned, "fill", fill)
    assert script("variants").main() == 2
    assert capsys.readouterr().err == "error: tuned: there is no figures/tuning/tuned.json\n"
