"""The drawn data sets: same bytes for a seed, layout of the release, captions true of what is drawn."""

import csv
import json
import re
from collections import Counter
from hashlib import sha256
from pathlib import Path
from unittest.mock import Mock

import drawn_scenes
import numpy as np
import pytest
from drawn_scenes import aerial, dataset
from drawn_scenes.__main__ import main
from drawn_scenes.captions import JARGON, NUMBERS, PLURALS, noun_phrase
from drawn_scenes.classes import RECIPES
from drawn_scenes.plan import AFLOAT, BETWEEN, COLOURS, FAR, MANY, NEXT, ON, ON_ROW, SIZES, distance
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

DOMAINS = ("aerial", "natural")
SMALL = {"train": 20, "test": 6, "size": 32, "seed": 3, "progress": False}
SKETCH = {"domain": st.sampled_from(DOMAINS), "index": st.integers(0, 5000), "seed": st.integers(0, 99)}


def digests(folder: Path) -> dict[str, str]:
    files = (p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): sha256(p.read_bytes()).hexdigest() for p in files}


def lines(file: Path) -> list[str]:
    return file.read_text(encoding="utf-8").splitlines()


@pytest.fixture(scope="module", params=DOMAINS)
def folder(request, tmp_path_factory):
    return drawn_scenes.write(tmp_path_factory.mktemp("data"), "toy", domain=request.param, workers=1, **SMALL)


def test_layout(folder):
    train, test = (lines(folder / f"{s}_filename.txt") for s in ("train", "test"))
    assert folder.name == "toy_precomp"
    assert (len(train), len(test)) == (20, 30)
    assert [len(lines(folder / f"{s}_caps.txt")) for s in ("train", "test")] == [100, 30]
    assert all(len(set(test[i : i + 5])) == 1 for i in range(0, 30, 5))
    assert sorted(train + test[::5]) == sorted(p.name for p in (folder / "toy_images").iterdir())
    for path in (folder / "toy_images").iterdir():
        with Image.open(path) as picture:
            assert (picture.size, picture.mode) == ((32, 32), "RGB")


def test_file_names_carry_the_scene_class(folder):
    words = dict(line.split("\t") for line in lines(folder / "scene_classes.txt"))
    assert len(words) == len(set(words.values())) == len(dataset.CLASSES) >= 12
    assert {name.rpartition("_")[0] for name in lines(folder / "train_filename.txt")} == set(words)


def test_targets_lie_inside_their_images(folder):
    with open(folder / "targets.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    names = {p.name for p in (folder / "toy_images").iterdir()}
    assert {row["filename"] for row in rows} == names
    for row in rows:
        x0, y0, x1, y1 = (float(row[k]) for k in ("x0", "y0", "x1", "y1"))
        assert 0 <= x0 < x1 <= 32 and 0 <= y0 < y1 <= 32
        assert row["colour"] in COLOURS[row["noun"]]


def test_captions_of_small_targets_say_what_stands_apart_in_the_test_images(folder):
    """And are true of the boxes."""
    domain = json.loads((folder / "scenes.json").read_text())["domain"]
    with open(folder / "target_captions.csv", encoding="utf-8") as file:
        captions = {row["filename"]: row for row in csv.DictReader(file)}
    with open(folder / "targets.csv", encoding="utf-8") as file:
        drawn = Counter((row["filename"], row["noun"], row["colour"]) for row in csv.DictReader(file))
    test = lines(folder / "test_filename.txt")[::5]
    apart = [dataset.sketch(index, "test", domain, SMALL["seed"])[0].extra for index in range(len(test))]
    assert list(captions) == [name for name, extra in zip(test, apart, strict=True) if extra]
    for name, row in captions.items():
        assert drawn[name, row["noun"], row["colour"]] == int(row["count"]) in (1, 2)
        said = row["caption"].split(" of ")[1].split()
        assert said[0] == ("two" if row["count"] == "2" else "an" if row["colour"] == "orange" else "a")
        assert said[1] == row["colour"]
        assert " ".join(said[2:]) == (PLURALS.get(row["noun"], f"{row['noun']}s") if said[0] == "two" else row["noun"])


def test_a_folder_from_before_gets_its_captions_of_small_targets_and_no_other_change(folder, monkeypatch):
    domain = json.loads((folder / "scenes.json").read_text())["domain"]
    before = digests(folder)
    (folder / "target_captions.csv").unlink()
    with monkeypatch.context() as patch:  # where nothing may be written, the folder is as good as it was
        patch.setattr(dataset.os, "replace", Mock(side_effect=PermissionError))
        drawn_scenes.write(folder.parent, "toy", domain=domain, **SMALL)
    assert digests(folder).keys() == before.keys() - {"target_captions.csv"}
    drawn_scenes.write(folder.parent, "toy", domain=domain, **SMALL)
    assert digests(folder) == before


def test_same_bytes_for_a_seed_in_any_number_of_processes(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(dataset, "WORTH_A_POOL", 0)
    domain = json.loads((folder / "scenes.json").read_text())["domain"]
    again = drawn_scenes.write(tmp_path, "toy", domain=domain, workers=2, **SMALL)
    assert digests(again) == digests(folder)


# Pixels may round differently on another processor; what is drawn may not change without a new VERSION.
@pytest.mark.parametrize(
    ("domain", "digest"),
    [
        ("aerial", "f12725804c4bc75e"),
        ("natural", "cc57b6385c6ae884"),
    ],
)
def test_captions_are_those_of_the_version(domain, digest):
    assert drawn_scenes.VERSION == 2
    sketches = [dataset.sketch(index, split, domain, 0)[:2] for split in ("train", "test") for index in range(64)]
    said = [f"{scene.kind}: {caption}" for scene, captions in sketches for caption in captions]
    assert sha256("\n".join(said).encode()).hexdigest()[:16] == digest


def test_command_line(tmp_path, capsys):
    sizes = ["--train", "3", "--test", "2", "--size", "8", "--domain", "natural"]
    main(["mine", "--root", str(tmp_path), *sizes])
    out, progress = capsys.readouterr()
    assert out.strip() == str(tmp_path / "mine_precomp") and "drawing mine" in progress
    assert len(lines(tmp_path / "mine_precomp" / "train_caps.txt")) == 15
    with pytest.raises(SystemExit):
        main(["mine", "--root", str(tmp_path), "--seed", "1", *sizes])
    assert "delete that folder, or choose another name" in capsys.readouterr().err


def test_another_seed_differs(tmp_path):
    one, two = (drawn_scenes.write(tmp_path, f"s{s}", workers=1, **{**SMALL, "seed": s}) for s in (0, 1))
    assert lines(one / "train_caps.txt") != lines(two / "train_caps.txt")


def test_the_test_split_does_not_depend_on_the_size_of_train(tmp_path):
    one, two = (drawn_scenes.write(tmp_path, f"s{n}", workers=1, **{**SMALL, "train": n}) for n in (3, 5))
    assert lines(one / "test_caps.txt") == lines(two / "test_caps.txt") != lines(one / "train_caps.txt")


def test_a_complete_folder_is_left_alone(folder, monkeypatch):
    monkeypatch.setattr(dataset, "_draw_images", None)
    domain = json.loads((folder / "scenes.json").read_text())["domain"]
    assert drawn_scenes.write(folder.parent, "toy", domain=domain, **SMALL) == folder


def test_other_settings_raise_with_a_remedy(folder):
    domain = json.loads((folder / "scenes.json").read_text())["domain"]
    with pytest.raises(ValueError, match="delete that folder, or choose another name"):
        drawn_scenes.write(folder.parent, "toy", domain=domain, **{**SMALL, "seed": 4})


def test_a_foreign_folder_is_never_touched(tmp_path):
    (tmp_path / "mine_precomp").mkdir()
    (tmp_path / "mine_precomp" / "train_caps.txt").write_text("precious\n")
    with pytest.raises(ValueError, match="not drawn here"):
        drawn_scenes.write(tmp_path, "mine", **SMALL)
    assert (tmp_path / "mine_precomp" / "train_caps.txt").read_text() == "precious\n"


def test_a_crash_leaves_nothing_behind(tmp_path, monkeypatch):
    def crash(*_):
        raise RuntimeError("power cut")

    with monkeypatch.context() as patch:
        patch.setattr(dataset, "_write_lines", crash)
        with pytest.raises(RuntimeError, match="power cut"):
            drawn_scenes.write(tmp_path, "toy", workers=1, **SMALL)
    assert list(tmp_path.iterdir()) == []
    assert drawn_scenes.write(tmp_path, "toy", workers=1, **SMALL).is_dir()


@pytest.mark.parametrize("wrong", [{"domain": "martian"}, {"train": 0}, {"test": 0}, {"size": 0}])
def test_settings_out_of_range_raise(tmp_path, wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        drawn_scenes.write(tmp_path, "toy", **{**SMALL, **wrong})


@given(**SKETCH)
@settings(max_examples=150, deadline=None)
def test_captions_are_five_distinct_and_true_of_the_plan(index, domain, seed):
    scene, captions, _ = dataset.sketch(index, "train", domain, seed)
    assert len(captions) == len(set(captions)) == 5
    drawn = Counter((t.noun, t.colour) for t in scene.things)
    singular = {PLURALS.get(noun, f"{noun}s"): noun for noun in SIZES} | {noun: noun for noun in SIZES}
    counts = {word: n for n, word in NUMBERS.items()} | {"a": 1, "an": 1}
    colours, nouns = "|".join(aerial.PAINT), "|".join(sorted(singular, reverse=True))
    phrase = rf"\b(a few|many|an?|two|three|four|five) ({colours}) ({nouns})\b"
    said = set()
    for caption in captions:
        for word, other in JARGON.items():
            caption = caption.replace(other, word)
        for number, colour, noun in re.findall(phrase, caption):
            low, high = {"many": (MANY, 999), "a few": (3, 5)}.get(number) or [counts[number]] * 2
            assert low <= drawn[singular[noun], colour] <= high, caption
            said.add((colour, singular[noun]))
    assert {(g.colour, g.noun) for g in (scene.landmark, scene.group)} <= said


@given(**SKETCH)
@settings(max_examples=150, deadline=None)
def test_no_caption_names_a_thing_or_a_ground_twice(index, domain, seed):
    scene, captions, _ = dataset.sketch(index, "train", domain, seed)
    named = [noun_phrase(group) for group in (scene.group, scene.extra) if group]
    for caption in captions:
        for word, other in JARGON.items():
            caption = caption.replace(other, word)
        assert all(caption.count(words) <= 1 for words in {*named, scene.ground, RECIPES[scene.kind].feature}), caption


def test_captions_agree_in_number_with_the_ground():
    captions = " , ".join(c for i in range(400) for c in dataset.sketch(i, "train", "aerial", 0)[1])
    assert "crops surround " in captions and "grass surrounds " in captions
    assert "crops surrounds" not in captions and "grass surround " not in captions


@given(**SKETCH)
@settings(max_examples=150, deadline=None)
def test_relations_hold_in_the_plan(index, domain, seed):
    scene, _, _ = dataset.sketch(index, "train", domain, seed)
    bodies = [t for t in scene.things if t.role == "landmark"]
    group = np.array([(t.x, t.y) for t in scene.things if t.role == "group"])
    extra = np.array([(t.x, t.y) for t in scene.things if t.role == "extra"]).reshape(-1, 2)
    assert len(group) == scene.group.count
    assert len(bodies) == scene.landmark.count == 1 + (scene.group.relation == BETWEEN)
    gap = distance(group, bodies)
    assert (gap == 0).all() if scene.group.relation in (ON, ON_ROW) else (gap > 0).all()
    if scene.group.relation == NEXT:
        assert gap.min() < 0.3
    if scene.extra:
        far = distance(extra, bodies)
        assert (far > 0.5).all() if scene.extra.relation == FAR else (far < 0.5).all()
        assert scene.extra.noun in AFLOAT or len(extra) == scene.extra.count


@given(seed=st.integers(0, 99), index=st.integers(0, 99), domain=st.sampled_from(DOMAINS))
@settings(max_examples=12, deadline=None)
def test_pictures_are_neither_empty_nor_noise(seed, index, domain):
    scene, _, rng = dataset.sketch(index, "train", domain, seed)
    picture, targets = dataset.RENDERERS[domain](scene, 48, rng)
    pixels = np.asarray(picture, float)
    assert pixels.shape == (48, 48, 3)
    assert 10 < pixels.std() < 110
    assert {t.role for t, _ in targets} <= {"group", "extra"}


def test_duplicated_captions_leave_room_at_the_top():
    captions = [c for i in range(200) for c in dataset.sketch(i, "test", "aerial", 0)[1]]
    times = Counter(captions)
    ceiling = np.mean([1 / times[c] for c in captions])
    assert 0.85 < ceiling < 0.985
