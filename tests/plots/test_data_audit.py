"""Plots of the audit of a data set that is small enough to count by hand."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest
from audited_data import count_words, small_data

from petl_core.data import RetrievalData
from petl_core.data.audit import audit
from petl_core.plots.data_audit import plot_repeats, plot_samples, plot_token_lengths

mpl.use("agg")


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture
def small(tmp_path) -> RetrievalData:
    return small_data(tmp_path)


def test_token_length_plot_shows_every_length(small):
    axes = plot_token_lengths(audit(small, count_words)).axes[0]
    assert axes.get_xlabel() == "caption length (tokens)"
    assert "%" in axes.get_ylabel()
    assert axes.get_xlim()[0] <= 1 and axes.get_xlim()[1] >= 8


def test_token_length_plot_needs_lengths(small):
    with pytest.raises(ValueError, match="pass count_tokens to audit"):
        plot_token_lengths(audit(small))


def test_repeat_plot_adds_up_to_all_captions(small):
    axes = plot_repeats(audit(small)).axes[0]
    train, test = ([bar.get_height() for bar in bars] for bars in axes.containers)
    assert train == pytest.approx([100, 0, 0, 0, 0, 0])
    assert test == pytest.approx([100 * 3 / 7, 0, 100 * 4 / 7, 0, 0, 0])


def test_sample_sheet_shows_images_with_their_captions(small, tmp_path):
    figure = plot_samples(small.test, count=9)
    pictures, texts = figure.axes[0::2], figure.axes[1::2]
    assert [axes.get_title() for axes in pictures] == ["pond", "port", "port"]
    assert [int(axes.images[0].get_array()[0, 0, 0]) for axes in pictures] == [30, 10, 40]
    assert texts[1].texts[0].get_text() == "a pond\ntwo"
    figure.savefig(tmp_path / "sheet.png")  # dollar signs in a caption are no formula
