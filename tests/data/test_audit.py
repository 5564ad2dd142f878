"""The audit's numbers on a data set small enough to count by hand, and on the published lists."""

import pytest
from audited_data import TEST, TRAIN, count_words, small_data, split_of
from PIL import Image

from petl_core.data import DataError, RetrievalData, load
from petl_core.data.audit import audit


@pytest.fixture
def small(tmp_path) -> RetrievalData:
    return small_data(tmp_path)


def test_counts(small):
    summary = audit(small, count_words).summary
    expected = {
        "images": (3, 3),
        "captions": (3, 7),
        "blank captions dropped": (2, 0),
        "images without caption": (1, 0),
        "captions per image, fewest": (0, 2),
        "captions per image, most": (2, 3),
        "distinct captions": (3, 4),
        "duplicate captions": (0, 3),
        "captions also in the other split": (1, 4),
        "captions also in the other split, %": (33.3, 57.1),
        "scene classes": (2, 2),
        "images without scene label": (1, 0),
        "image names also in the other split": (0, 0),
        "images also in the other split": (1, 1),
        "duplicate images": (1, 0),
        "tokens per caption, median": (2.0, 2.0),
        "tokens per caption, most": (2, 8),
        # "a pond" occurs four times on three test images, twice on one of them: 2 of its 4 copies can find theirs
        "ceiling of text-to-image R@1, %": (100.0, 71.4),
        "ceiling of text-to-image R@5, %": (100.0, 100.0),
        "ceiling of text-to-image R@10, %": (100.0, 100.0),
    }
    assert {row: tuple(summary.loc[row]) for row in summary.index} == expected


def test_ceiling_is_that_of_a_model_which_prefers_the_image_with_most_copies(small):
    ceilings = audit(small, check_images=False).ceilings()
    assert ceilings[1] == pytest.approx(100 * (2 + 3) / 7)


def test_ceiling_at_k_is_k_over_the_images(tmp_path):
    twins = {f"pond_{i}.png": ["a pond"] for i in range(20)}
    data = RetrievalData("twins", tmp_path, split_of(tmp_path, TRAIN), split_of(tmp_path, twins))
    assert audit(data, check_images=False).ceilings() == pytest.approx({1: 5.0, 5: 25.0, 10: 50.0})


def test_what_was_not_measured_is_not_reported(small):
    rows = audit(small, check_images=False).summary.index
    assert "tokens per caption, most" not in rows
    assert "images also in the other split" not in rows


def test_same_name_in_both_splits_is_reported(small, tmp_path):
    data = RetrievalData("leak", tmp_path, small.train, split_of(tmp_path, TEST | {"pond_1.png": ["x"]}))
    summary = audit(data).summary
    assert tuple(summary.loc["image names also in the other split"]) == (1, 1)
    assert tuple(summary.loc["images also in the other split"]) == (1, 2)


def test_same_pixels_in_another_shape_are_another_image(small, tmp_path):
    Image.new("RGB", (2, 8), (10, 0, 0)).save(tmp_path / "images" / "port_4.png")
    assert audit(small).summary.loc["images also in the other split", "test"] == 0


def test_broken_image_is_named(small, tmp_path):
    (tmp_path / "images" / "port_5.png").write_bytes(b"\x89PNG")
    with pytest.raises(DataError, match=r"port_5\.png: cannot be read"):
        audit(small)


def test_repeats_add_up_to_all_captions(small):
    shares = audit(small).repeats().pivot(index="split", columns="spread", values="share")
    assert shares.loc["train"].tolist() == pytest.approx([100, 0, 0, 0, 0, 0])
    assert shares.loc["test"].tolist() == pytest.approx([100 * 3 / 7, 0, 100 * 4 / 7, 0, 0, 0])


@pytest.mark.parametrize(
    ("name", "distinct", "total", "leaked", "ceiling"),
    [
        ("rsicd", 3_330, 5_465, 11.6, 93.1),
        ("rsitmd", 2_108, 2_260, 2.4, 99.9),
        ("ucm", 377, 1_050, 61.1, 38.3),
    ],
)
def test_duplicates_of_the_published_lists(real_data, name, distinct, total, leaked, ceiling):
    test = audit(load(name, real_data / "captions", check_images=False), check_images=False).summary["test"]
    assert test["distinct captions"] == distinct
    assert test["captions"] == total
    assert test["captions also in the other split, %"] == leaked
    assert test["ceiling of text-to-image R@1, %"] == ceiling


def test_longest_published_caption(real_data):
    """39 tokens, SOS and EOS among them: over all three test splits, by CLIP's own tokeniser."""
    from open_clip.tokenizer import SimpleTokenizer  # slow to import

    tokenizer = SimpleTokenizer()
    longest = 0
    for name in ("rsicd", "rsitmd", "ucm"):
        captions = load(name, real_data / "captions", check_images=False).test.captions
        longest = max(longest, *(len(tokenizer.encode(caption)) + 2 for caption in set(captions)))
    assert longest == 39


def test_an_image_in_both_splits_of_the_real_folder(real_data):
    summary = audit(load("rsicd", real_data)).summary
    assert tuple(summary.loc["images also in the other split"]) == (1, 1)
    assert tuple(summary.loc["duplicate images"]) == (0, 0)
