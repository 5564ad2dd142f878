"""The pages that people read first: links lead somewhere, and findings say what their tables say."""

import re

import pytest

from petl_core.files import ROOT

PAGES = ["README.md", "CONTRIBUTING.md", "data/README.md", "figures/README.md", "notebooks/README.md"]
LINK = re.compile(r"\]\(([^)\s]+)\)")
INTERVAL = re.compile(r"(\d+\.\d+)[^\[\]\d]*(\[[+−]\d[^\]]*\])")  # of a difference, behind it
NUMBER = re.compile(r"(?<![\w.])(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?!\w)")


def findings() -> list[str]:
    """The list items under "What we found"."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    section = readme.split("## What we found\n")[1].split("\n## ")[0]
    return [" ".join(item.split()) for item in re.split(r"^\* ", section, flags=re.MULTILINE)[1:]]


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    folder = (ROOT / page).parent
    links = [link for link in LINK.findall((ROOT / page).read_text(encoding="utf-8")) if "://" not in link]
    broken = [link for link in links if not link.startswith("#") and not (folder / link.split("#")[0]).exists()]
    assert not broken


def test_findings_are_few_enough_to_read():
    assert 5 <= len(findings()) <= 8


@pytest.mark.parametrize("finding", findings(), ids=lambda finding: finding[:40])
def test_a_finding_quotes_the_tables_that_it_links(finding):
    tables = [link for link in LINK.findall(finding) if link.startswith("figures/")]
    assert tables, "a finding links the table that it rests on"
    said = " ".join((ROOT / table).read_text(encoding="utf-8") for table in tables)
    text = LINK.sub("]", finding)
    quoted = [number for number in NUMBER.findall(text) if "." in number or "," in number]
    assert quoted, "a finding has figures"
    missing = [number for number in quoted if number not in NUMBER.findall(said)]
    assert not missing, f"not in {', '.join(tables)}: {missing}"


@pytest.mark.parametrize("finding", findings(), ids=lambda finding: finding[:40])
def test_a_difference_and_its_interval_are_of_one_row(finding):
    tables = [link for link in LINK.findall(finding) if link.startswith("figures/")]
    rows = [row for table in tables for row in (ROOT / table).read_text(encoding="utf-8").splitlines()]
    for difference, interval in INTERVAL.findall(LINK.sub("]", finding)):
        assert any(difference in row and interval in row for row in rows), f"no row has {difference} {interval}"
