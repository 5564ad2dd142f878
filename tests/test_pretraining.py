"""The committed backbone: it loads as its config says, and the command that made it repeats its first steps."""

import json

import numpy as np
import pytest
import torch
from drawn_scenes.dataset import RENDERERS, sketch
from safetensors import safe_open
from small_worlds import SIZES

from petl_core import backbone, pretraining
from petl_core.config import RunConfig
from petl_core.data import default_data
from petl_core.files import ROOT, read_json
from petl_core.inputs import Inputs, PreparedSplit
from petl_core.pretraining import BATCH_SIZE, DATASET, pretrain, train_steps, untrained
from petl_core.training import one_caption_per_image

FOLDER = ROOT / "data" / "small-clip"
REPORT = read_json(FOLDER / "pretrain.json")


def test_the_committed_folder_is_what_the_report_tells_of():
    assert RunConfig().backbone == "data/small-clip" and REPORT["dataset"] == DATASET
    assert json.loads((FOLDER / "open_clip_config.json").read_text()) == json.loads(json.dumps(pretraining.MODEL))
    with safe_open(FOLDER / "open_clip_model.safetensors", "pt") as file:
        kinds = {file.get_tensor(name).dtype for name in file.keys()}  # noqa: SIM118 (not a dict)
    assert kinds == {torch.float16}
    loaded = backbone.load("data/small-clip")
    sizes = {name: parameter.numel() for name, parameter in loaded.clip.named_parameters()}
    assert {parameter.dtype for parameter in loaded.clip.parameters()} == {torch.float32}
    assert sum(sizes.values()) - sizes["logit_scale"] == REPORT["parameters"]
    # The tokenizer and the pixels that it was trained with.
    made_with = untrained().backbone
    assert torch.equal(loaded.tokens(["a pond"]), made_with.tokens(["a pond"]))
    pixels = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    assert torch.equal(loaded.normalise(pixels), made_with.normalise(pixels))
    assert loaded.clip.visual.image_size == (64, 64)
    losses = REPORT["losses"]
    assert len(losses) == REPORT["epochs"] * -(-default_data.DRAWN[DATASET]["train"] // BATCH_SIZE)
    assert np.mean(losses[-20:]) < 0.5 * np.mean(losses[:20]) and REPORT["test_mr"] > 50


def test_its_first_steps_repeat(tmp_path):
    """On the images of the first batches alone, each drawn as the whole set has it; the first step has rate 0."""
    steps, count = 3, default_data.DRAWN[DATASET]["train"]
    image_of = torch.arange(count).repeat_interleave(5)
    image_rows, caption_rows = torch.zeros(count, dtype=torch.long), torch.zeros(5 * count, dtype=torch.long)
    whole = PreparedSplit(Inputs(torch.empty(0), {}, {}), image_rows, caption_rows, image_of)
    needed = one_caption_per_image(whole, np.random.default_rng([pretraining.SEED, 0]))[: steps * BATCH_SIZE]
    paths, captions = [], []
    for row in needed:
        scene, described, rng = sketch(int(image_of[row]), "train", "natural", 0)
        picture, _ = RENDERERS["natural"](scene, 64, rng)
        paths.append(tmp_path / f"{row}.png")
        picture.save(paths[-1])
        captions.append(described[row % 5])
    image_rows[image_of[needed]] = caption_rows[needed] = torch.arange(len(needed))

    model = untrained()
    drawn = Inputs(model.backbone.tokens(captions), {}, {}, pixels=model.backbone.pixels(paths, False).numpy())
    losses = train_steps(model, PreparedSplit(drawn, image_rows, caption_rows, image_of))
    assert [next(losses) for _ in range(steps)] == pytest.approx(REPORT["losses"][:steps], rel=1e-3)


def test_a_backbone_is_pretrained_and_written_in_half_precision(tmp_path, monkeypatch):
    monkeypatch.setitem(default_data.DRAWN, "natural-mini", {"domain": "natural", **SIZES})
    monkeypatch.setattr(pretraining, "DATASET", "natural-mini")
    reports = [pretrain(tmp_path / name, 2, tmp_path / "data", tmp_path / "runs") for name in ("one", "two")]
    assert len(reports[0]["losses"]) == 2
    assert read_json(tmp_path / "one" / "pretrain.json") == reports[0]
    weights = [(tmp_path / name / "open_clip_model.safetensors").read_bytes() for name in ("one", "two")]
    assert weights[0] == weights[1]
