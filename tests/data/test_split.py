"""Data sets in memory: subsets, validation, fingerprint."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from data_on_disk import TEST, TRAIN, as_dict, write_images, write_release
from hypothesis import given
from hypothesis import strategies as st

from petl_core.data import Split, load, split_validation


def split_of(captions_per_image: list[int]) -> Split:
    image_of = np.repeat(np.arange(len(captions_per_image)), captions_per_image)
    return Split(
        images=tuple(Path(f"images/{i}.png") for i in range(len(captions_per_image))),
        captions=tuple(f"caption {j} of image {i}" for j, i in enumerate(image_of)),
        image_of=image_of,
        scenes=tuple(f"scene {i}" for i in range(len(captions_per_image))),
    )


@given(counts=st.lists(st.integers(0, 4), min_size=1, max_size=8), picks=st.data())
def test_subset_keeps_images_with_their_own_captions(counts, picks):
    split = split_of(counts)
    chosen = picks.draw(st.permutations(range(len(counts))).map(lambda p: p[: (len(counts) + 1) // 2]))
    part = split.subset(chosen)
    assert part.images == tuple(split.images[i] for i in chosen)
    assert part.scenes == tuple(split.scenes[i] for i in chosen)
    assert as_dict(part) == {split.images[i].name: as_dict(split)[split.images[i].name] for i in chosen}


@pytest.mark.parametrize(("indices", "error"), [([0, 0], ValueError), ([3], IndexError), ([-1], IndexError)])
def test_subset_refuses_bad_indices(indices, error):
    with pytest.raises(error, match=r"index is repeated|must be in 0 .. 2"):
        split_of([1, 1, 1]).subset(indices)


@given(
    counts=st.lists(st.integers(0, 3), min_size=4, max_size=30).filter(lambda c: sum(map(bool, c)) >= 4),
    fraction=st.floats(0.05, 0.8),
    seed=st.integers(0, 2**32 - 1),
)
def test_validation_split(counts, fraction, seed):
    split = split_of(counts)
    train, validation = split_validation(split, fraction, seed)
    captioned = sum(map(bool, counts))
    assert len(validation.images) == max(1, round(fraction * captioned))
    assert set(train.images) | set(validation.images) == set(split.images)
    assert len(train.images) + len(validation.images) == len(split.images)
    assert as_dict(train) | as_dict(validation) == as_dict(split)
    assert all(as_dict(validation).values()), "an image without captions cannot be evaluated"
    again, _ = split_validation(split, fraction, seed)
    assert again.images == train.images


def test_validation_split_is_the_same_everywhere():
    _, validation = split_validation(split_of([1] * 20), fraction=0.25, seed=3)
    assert [int(path.stem) for path in validation.images] == [3, 8, 12, 16, 18]


def test_validation_split_depends_on_the_seed():
    picks = {split_validation(split_of([1] * 40), seed=seed)[1].images for seed in range(5)}
    assert len(picks) == 5


@pytest.mark.parametrize(("counts", "fraction"), [([1, 1, 1], 0.0), ([1, 1, 1], 1.0), ([1, 0, 0], 0.5)])
def test_validation_split_refuses(counts, fraction):
    with pytest.raises(ValueError, match=r"fraction must be between|too few to hold out"):
        split_validation(split_of(counts), fraction)


def test_fingerprint_knows_content_not_place(tmp_path):
    folder = write_release(tmp_path / "a")
    shutil.copytree(folder, tmp_path / "b" / "rsicd_precomp")
    one = load("rsicd", tmp_path / "a", check_images=False).fingerprint()
    assert re.fullmatch("[0-9a-f]{64}", one)
    assert load("rsicd", tmp_path / "b", check_images=False).fingerprint() == one


@pytest.mark.parametrize(
    "change",
    [
        {"train": TRAIN | {"bareland_1.png": ["changed"] * 5}},
        {"train": {f"x{name}": captions for name, captions in TRAIN.items()}},
        {"train": TEST, "test": TRAIN},
        {"test": dict(reversed(TEST.items()))},
    ],
)
def test_fingerprint_changes_with_content(tmp_path, change):
    write_release(tmp_path / "a")
    write_release(tmp_path / "b", **change)
    one, other = (load("rsicd", tmp_path / place, check_images=False) for place in "ab")
    assert one.fingerprint() != other.fingerprint()


def test_fingerprint_changes_with_scene_words(tmp_path):
    folder = write_release(tmp_path)
    before = load("rsicd", tmp_path, check_images=False).fingerprint()
    (folder / "scene_classes.txt").write_text("pond\tsmall lake\n")
    assert load("rsicd", tmp_path, check_images=False).fingerprint() != before


def test_image_digest_knows_content_not_place(tmp_path):
    folder = write_release(tmp_path / "a")
    write_images(folder / "images", [*TRAIN, *TEST])
    shutil.copytree(folder, tmp_path / "b" / "rsicd_precomp")
    one, other = (load("rsicd", tmp_path / place) for place in "ab")
    before = one.image_digest()
    assert re.fullmatch("[0-9a-f]{64}", before) and other.image_digest() == before
    shutil.copy(one.train.images[0], one.test.images[0])
    assert one.image_digest() != before
