import pytest

from petl_core.evaluation import published
from petl_core.evaluation.names import METRICS


def test_exactly_the_three_known_rows_contradict_their_own_mean_recall():
    frame = published.printed_figures()
    marked = frame.loc[frame["contradicts_mr"], ["dataset", "method"]]
    assert sorted(map(tuple, marked.to_numpy())) == [
        ("rsicd", "AMFMN-soft"), ("rsitmd", "AdaptFormer"), ("ucm", "Cross-Modal Adapter"),
    ]  # fmt: skip
    table = published.readable_figures(published.printed_figures("rsitmd", published.CLIP_BASED)).set_index("Method")
    assert table.loc["AdaptFormer", "mR"] == "34.81 †" and table.loc["UniAdapter", "mR"] == "39.23"


def test_every_row_names_its_source_and_has_possible_figures():
    frame = published.printed_figures()
    assert len(frame) == 96 and frame["source"].notna().all()
    assert frame[list(METRICS)].stack().between(0, 100).all()
    for direction in ("i2t", "t2i"):
        assert (frame[f"{direction}_r1"] <= frame[f"{direction}_r5"]).all()
        assert (frame[f"{direction}_r5"] <= frame[f"{direction}_r10"]).all()


@pytest.mark.parametrize("dataset", ["rsicd", "rsitmd", "ucm"])
def test_each_data_set_has_the_thirteen_clip_based_methods(dataset):
    frame = published.printed_figures(dataset)
    ours = frame[frame["source"].str.startswith("PE-RSITR") & (frame["group"] != "traditional")]
    assert len(ours) == 14  # Single Language, and thirteen re-implemented here
