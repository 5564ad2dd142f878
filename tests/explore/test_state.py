"""The models to choose from, what a question finds, and how users see errors."""

import numpy as np
import pytest
from explored_runs import IMAGES, of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from imagery import write_folder, write_image
from PIL import Image

from petl_core import retrieval
from petl_core.config import RunConfig
from petl_core.data import default_data
from petl_core.errors import ConfigError, DataError
from petl_core.explore import state
from petl_core.explore.state import (
    Choice,
    Question,
    Session,
    choice_labels,
    choice_table,
    find_choices,
    key_of,
    open_choice,
    open_clip_choice,
    place_of,
    read_upload,
    scene_in,
)
from petl_core.inputs import embed_captions
from petl_core.runs import archive


@pytest.fixture
def split(places):
    return default_data.load_or_draw("scenes-mini", places["data_root"]).test


# Models to choose from.


def test_runs_are_listed_without_ranking_them(session):
    table = choice_table(session.choices)
    assert list(table["Method"]) == ["Focus-Adapter, taps 2", "Linear probe", "Linear probe", "Zero-shot CLIP"]
    assert list(table["Settings"]) == ["", "learning rate 0.03, seed 2", "learning rate 0.1, seed 3", ""]
    scores = [f"{choice.run.metrics['scores']['strict']['mr']:.1f}" for choice in session.choices]
    assert list(table["test mR, one seed"]) == scores
    label = choice_labels(session.choices)[1]
    assert label == f"Linear probe · scenes-mini · clip · learning rate 0.03, seed 2 · test mR {scores[1]}"


FIELDS = {
    "method": st.sampled_from(["mrs", "lora"]),
    "method_options": st.sampled_from([{}, {"rank": 4}, {"rank": 8, "alpha": 2.0}]),
    "epochs": st.integers(1, 3),
    "train_images": st.sampled_from([0, 160]),
    "queue_keys": st.sampled_from(["own", "ema"]),
    "learning_rate": st.sampled_from([1e-3, 2e-3, 2.0000001e-3]),
    "backbone": st.sampled_from(["data/small-clip", "elsewhere/small-clip"]),  # the same last part
}


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.fixed_dictionaries(FIELDS), max_size=8))
def test_no_two_rows_are_alike(configs):
    choices = {config.hash: Choice(config) for config in (RunConfig(**drawn) for drawn in configs)}
    labels = choice_labels(list(choices.values()))
    assert len(set(labels)) == len(labels) == len(choices)


def test_archived_runs_answer_like_those_they_were_made_from(session, places, tmp_path):
    run = session.opened.choice.run
    archive.ARCHIVE.mkdir()
    archive.add_to_archive("study", [run])
    archived, zero_shot = find_choices(tmp_path / "nothing")
    assert archived.config == run.config and archived.run.adapter.parent == archive.ARCHIVE
    assert zero_shot.run is None and zero_shot.config == run.config.zero_shot()
    found = [open_choice(one, **places, progress=False).ask(Question(text="a road")) for one in (archived, zero_shot)]
    assert [a.hit for a in found[0].images] == [a.hit for a in session.opened.ask(Question(text="a road")).images]
    assert [a.hit.score for a in found[1].images] != [a.hit.score for a in found[0].images]
    archived.run.adapter.unlink()
    assert find_choices(tmp_path / "nothing") == [Choice(RunConfig().zero_shot())]


def test_an_mrs_adapter_on_drawn_scenes_comes_first_unless_a_run_is_named(session):
    mine, drawn, rsicd = RunConfig(dataset="mine"), RunConfig(), RunConfig(dataset="rsicd")
    assert place_of([Choice(rsicd), Choice(drawn)]) == 1 and place_of([Choice(rsicd), Choice(mine)]) == 0
    assert place_of(session.choices, f"runs/{session.choices[2].config.hash}") == 2
    with pytest.raises(ConfigError, match=r"run '0123' is not finished, or its adapter was not kept"):
        place_of(session.choices, "0123")


def test_a_model_of_open_clip_is_named_with_its_weights():
    choice = open_clip_choice(" ViT-B-32-quickgelu   openai ", "rsicd")
    assert (choice.config.pretrained, choice.config.dataset) == ("openai", "rsicd")
    assert choice_labels([choice]) == ["Zero-shot CLIP · rsicd · ViT-B-32-quickgelu · openai"]
    for name, message in (("", "name a model"), ("one two three", "name a model"), ("ViT-B-32", "random")):
        with pytest.raises(ConfigError, match=message):
            open_clip_choice(name, "rsicd")


# What a question finds.


def test_a_sentence_finds_all_images_by_their_cosines(session):
    found = session.opened.ask(Question(text="a red boat in a harbor"))
    assert [answer.rank for answer in found.images] == list(range(1, IMAGES + 1))
    gallery = session.opened.gallery
    scores = retrieval.similarity(gallery.embeddings, embed_captions(gallery.model, ["a red boat in a harbor"]))[:, 0]
    assert np.allclose([answer.hit.score for answer in found.images], np.sort(scores)[::-1], atol=1e-6)
    assert found.captions == []


def test_the_own_image_and_the_scene_are_known_of_captions_and_of_sentences_that_name_one(session, split):
    found = session.opened.ask(Question(text=split.captions[0].upper()))
    own = {answer.hit.path for answer in found.images if answer.kind == "own"}
    assert split.images[split.image_of[0]] in own and found.scene == split.scenes[split.image_of[0]]
    for answer in found.images:
        alike = "same scene" if answer.hit.scene == found.scene else "other"
        assert answer.kind == ("own" if answer.hit.path in own else alike)
    assert session.opened.ask(Question(text=f"a {split.scenes[0]} from above")).scene == split.scenes[0]
    found = session.opened.ask(Question(text="what the eye can see"))
    assert found.scene is None and {answer.kind for answer in found.images} == {"other"}
    assert scene_in("two ponds", ["pond", "port"]) == "pond" and scene_in("a pondering person", ["pond"]) is None


def test_an_image_finds_itself_and_its_captions_and_so_does_its_upload(session, split):
    hit = session.opened.hit(3)
    found = session.opened.ask(Question(hit=hit))
    assert key_of(found.images[0].hit) == key_of(hit) and found.images[0].kind == "own" and found.scene == hit.scene
    texts, scores, own = zip(*found.captions, strict=True)
    assert len(texts) == 10 and list(scores) == sorted(scores, reverse=True) and set(texts) <= set(split.captions)
    assert list(own) == [text in hit.captions for text in texts]

    upload = read_upload(hit.path.name, hit.path.read_bytes())
    assert upload.title == f"images like {hit.path.name}"
    found = session.opened.ask(upload)
    assert found.images[0].hit.path == hit.path and found.images[0].hit.score == pytest.approx(1, abs=1e-5)
    assert found.scene is None and [text for text, _, _ in found.captions] == list(texts)
    with pytest.raises(DataError, match=r"^notes.txt: "):
        read_upload("notes.txt", b"no image")


def test_only_a_focus_adapter_tells_where_it_looks(session):
    question = Question(picture=Image.new("RGB", (40, 30)))
    assert len(session.opened.focus(question)) == 0
    session.open(session.choices[of(session, "focus")])
    maps = session.opened.focus(question)
    assert maps.shape[0] == 2 and maps.min() >= 0 and maps.max() <= 1


def test_the_map_draws_outlying_clusters_near_and_keeps_their_order(session, monkeypatch):
    def projected(points):
        return np.column_stack([np.r_[np.arange(len(points) - 1), 1000.0], np.arange(len(points))])

    monkeypatch.setattr(state, "project", projected)
    opened = fresh(session)
    hits, points = opened.map
    assert [hit.path for hit in hits] == [opened.hit(row).path for row in range(IMAGES)]
    assert (np.diff(points[:, 0]) > 0).all()
    assert np.ptp(points[:-1, 0]) > 0.2 * np.ptp(points[:, 0])  # less than 1 % of the width before

    monkeypatch.setattr(state, "ON_MAP", 6)  # of many images, a sample
    assert len(fresh(session).map[0]) == len(fresh(session).map[1]) == 6


def fresh(session: Session) -> state.Opened:
    opened = session.opened
    return state.Opened(opened.choice, opened.gallery, opened.texts, opened.text_embeddings, opened.scenes)


def test_an_own_folder_is_searched(session, places, tmp_path):
    folder = write_folder(tmp_path / "mine", 2)
    here = {"folder": str(folder), "data_root": places["data_root"], "runs_root": str(tmp_path), "progress": False}
    assert open_choice(session.choices[1], **here).map[1].tolist() == [[0, 0], [1, 0]]  # too few for UMAP
    write_image(folder / "large.png", 9, (1100, 600))
    own = open_choice(session.choices[1], **here)
    found = own.ask(Question(text="a river"))
    assert len(found.images) == len(own.gallery.embeddings) > 3 and own.scenes == []
    tile = next(hit for hit in map(own.hit, range(len(own.gallery.embeddings))) if hit.window.x)
    liked = own.ask(Question(hit=tile))
    assert key_of(liked.images[0].hit) == key_of(tile) and liked.captions == []


# The session.


def test_a_model_is_opened_once_and_asked_the_last_question_again(session, monkeypatch):
    session.ask(Question(text="a road"))
    first, answers, seen = session.opened, session.answers, []
    session.observe(lambda _: seen.append(session.answers is not answers), "opened")
    session.open(session.choices[of(session, "focus")])
    assert seen == [True], "a view saw a model with the answers of another"
    assert session.answers.question == answers.question
    monkeypatch.setattr(state, "open_choice", None)
    session.open(first.choice)
    assert session.opened is first and not session.message


def test_errors_become_a_sentence(session, places):
    before = session.opened
    session.ask(Question(text="  "))
    assert session.message == "the query is empty; say what to look for"
    session.open(Choice(before.choice.config.replace(dataset="no-such-set").zero_shot()))
    assert "no-such-set" in session.message and "\n" not in session.message and session.opened is before
    session.ask(Question(text="a road"))
    assert session.message == ""
    with session.reporting_errors():
        raise RuntimeError("out of memory\nand a long story")
    assert session.message == "RuntimeError: out of memory"
    fresh = Session(session.choices, **places)
    fresh.ask(Question(text="a road"))
    assert fresh.message == "no model is open; choose one in the table" and fresh.answers is None
