"""LAION's clip_benchmark evaluates an adapted model unchanged, and finds the recalls that we find."""

import numpy as np
import pytest
import torch
from clip_benchmark.metrics import zeroshot_retrieval
from petl_core.runs.experiment import load_model
from petl_core.training.encoding import embed, prepare
from small_clips import moved

from petl_core import backbone, retrieval
from petl_core.adapters import attach
from petl_core.data import Split, default_data, read_image

KS = (1, 5, 10)
NAMES = {"i2t": "text_retrieval", "t2i": "image_retrieval"}
BATCH = 4


def without_copies(split):
    """A split without duplicate captions, since copies tie."""
    _, first = np.unique(split.captions, return_index=True)
    first.sort()
    kept = Split(split.images, tuple(split.captions[j] for j in first), split.image_of[first], split.scenes)
    return kept.subset(np.unique(kept.image_of))


def smallest_gap(scores, relevant):
    """Between a query's best relevant item and any irrelevant one."""
    best = scores.max(axis=1, where=relevant, initial=-1)[:, None]
    return np.abs(scores - best)[~relevant].min()


def theirs(model, split):
    """Percent, by our names."""
    preprocess, tokenizer = model.backbone.preprocess, model.backbone.tokenizer
    captions_of_each = [[] for _ in split.images]
    for caption, image in zip(split.captions, split.image_of, strict=True):
        captions_of_each[image].append(caption)
    batches = [
        (
            torch.stack([preprocess(read_image(path)) for path in split.images[i : i + BATCH]]),
            captions_of_each[i : i + BATCH],
        )
        for i in range(0, len(split.images), BATCH)
    ]
    found = zeroshot_retrieval.evaluate(model, batches, tokenizer, "cpu", amp=False, recall_k_list=list(KS))
    return {f"{ours}_r{k}": 100 * found[f"{name}_recall@{k}"] for ours, name in NAMES.items() for k in KS}


def check(model, split):
    split = without_copies(split)
    scores = retrieval.similarity(*embed(model, prepare(split, model.backbone)))
    relevant = retrieval.relevance(split.image_of, len(split.images))
    assert min(smallest_gap(scores, relevant), smallest_gap(scores.T, relevant.T)) > 1e-6  # nothing ties
    ours, found = retrieval.evaluate(scores, split.image_of)["strict"], theirs(model, split)
    assert found == pytest.approx({name: ours[name] for name in found}, abs=1e-4)
    assert len(set(found.values())) > 3  # no model that finds all or nothing


@pytest.mark.parametrize("method", ["lora", "mrs"])
def test_a_finished_run(method, data_root, request):
    model = load_model(request.getfixturevalue(method), data_root, "cpu")
    check(model, default_data.load_or_draw("scenes-mini", data_root).test)


def test_a_vit_b_32_of_random_weights(data_root):
    torch.manual_seed(0)
    model = moved(attach(backbone.load("ViT-B-32-quickgelu"), "mrs"))
    check(model, default_data.load_or_draw("scenes-mini", data_root).test)
