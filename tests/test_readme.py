"""The pages that people read first: links lead somewhere, and findings say what their tables say."""

import csv
import re

import pytest

from petl_core.files import ROOT

PAGES = ["README.md", "CONTRIBUTING.md", "data/README.md", "figures/README.md", "notebooks/README.md"]
LINK = re.compile(r"\]\(([^)\s]+)\)")
NUMBER = re.compile(r"(?<![\w.,])[+−]?\d+\.\d+(?![\w.])")


def findings() -> list[str]:
    """The list items under "What we found"."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    section = readme.split("## What we found\n")[1].split("\n## ")[0]
    items = re.split(r"^\* ", section.split("\nAll tables")[0], flags=re.MULTILINE)[1:]
    return [" ".join(item.split()) for item in items]


def numbers_of(table: str) -> set[float]:
    """The absolute values of all numbers of a CSV, those inside its texts included."""
    text = (ROOT / table).read_text(encoding="utf-8").replace("−", "-")
    cells = [cell for row in csv.reader(text.splitlines()) for cell in row]
    return {abs(float(number)) for cell in cells for number in re.findall(r"\d+(?:\.\d+)?(?:e-?\d+)?", cell)}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    folder = (ROOT / page).parent
    links = [link for link in LINK.findall((ROOT / page).read_text(encoding="utf-8")) if "://" not in link]
    broken = [link for link in links if not link.startswith("#") and not (folder / link.split("#")[0]).exists()]
    assert not broken


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 120
    assert len(findings()) == 6


@pytest.mark.parametrize("finding", findings(), ids=lambda finding: finding[:40])
def test_a_finding_quotes_the_tables_that_it_links(finding):
    tables = [link for link in LINK.findall(finding) if link.endswith(".csv")]
    assert tables, "a finding links the table that it rests on"
    there = set().union(*(numbers_of(table) for table in tables))
    quoted = NUMBER.findall(LINK.sub("]", finding))
    assert quoted, "a finding has figures"
    for number in quoted:
        digits = len(number.split(".")[1])
        value = abs(float(number.replace("−", "-")))
        assert any(abs(round(cell, digits) - value) < 1e-9 for cell in there), f"{number} is not in {', '.join(tables)}"
