import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch.nn.functional import normalize

from petl_core import losses
from petl_core.losses import class_cross_entropy, false_negatives, hmmc, infonce, triplet, views_needed


def embeddings(count: int, seed: int, size: int = 4) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [normalize(torch.randn(size, 8, generator=generator), dim=-1) for _ in range(count)]


def triplet_by_loops(a, b, exclude, margin):
    size, total = len(a), 0.0
    similarity = (a @ b.T).tolist()
    for i in range(size):
        positive = similarity[i][i]
        rows = [margin + similarity[i][j] - positive for j in range(size) if j != i and not exclude[i][j]]
        columns = [margin + similarity[j][i] - positive for j in range(size) if j != i and not exclude[j][i]]
        total += max([0.0, *rows]) + max([0.0, *columns])
    return total


def infonce_by_loops(a, b, exclude, temperature):
    size, total = len(a), 0.0
    similarity = (a @ b.T / temperature).tolist()
    for i in range(size):
        kept = [j for j in range(size) if j == i or not exclude[i][j]]
        total -= similarity[i][i] - math.log(sum(math.exp(similarity[i][j]) for j in kept))
        kept = [j for j in range(size) if j == i or not exclude[j][i]]
        total -= similarity[i][i] - math.log(sum(math.exp(similarity[j][i]) for j in kept))
    return total / (2 * size)


@settings(deadline=None, max_examples=40)
@given(st.integers(2, 7), st.integers(0, 1000), st.floats(0, 1), st.booleans())
def test_contrasts_equal_their_definition_written_as_loops(size, seed, margin, masked):
    a, b = embeddings(2, seed, size)
    exclude = torch.rand(size, size, generator=torch.Generator().manual_seed(seed)) < (0.4 if masked else 0)
    assert triplet(a, b, exclude, margin).item() == pytest.approx(triplet_by_loops(a, b, exclude, margin), abs=1e-4)
    assert infonce(a, b, exclude, 0.1).item() == pytest.approx(infonce_by_loops(a, b, exclude, 0.1), abs=1e-4)


@given(st.integers(1, 7), st.integers(0, 1000), st.floats(0.05, 1))
def test_class_cross_entropy_equals_its_definition_written_as_loops(size, seed, temperature):
    rows, prompts = embeddings(1, seed, size)[0], embeddings(1, seed + 1, 3)[0]
    classes = torch.randint(-1, 3, (size,), generator=torch.Generator().manual_seed(seed))
    similarity = (rows @ prompts.T / temperature).tolist()
    losses_of_known = [
        math.log(sum(math.exp(value) for value in similarity[i])) - similarity[i][label]
        for i, label in enumerate(classes.tolist())
        if label >= 0
    ]
    expected = sum(losses_of_known) / max(1, len(losses_of_known))
    assert class_cross_entropy(rows, prompts, classes, temperature).item() == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("contrast", [triplet, infonce])
def test_contrasts_are_symmetric_and_do_not_depend_on_order(contrast):
    a, b = embeddings(2, 3)
    order = torch.tensor([2, 0, 3, 1])
    assert torch.allclose(contrast(a, b), contrast(b, a))
    assert torch.allclose(contrast(a, b), contrast(a[order], b[order]))


@pytest.mark.parametrize("contrast", [triplet, infonce])
def test_an_excluded_negative_has_no_influence(contrast):
    a, b = embeddings(2, 5)
    exclude = torch.zeros(4, 4, dtype=torch.bool)
    exclude[0, 1] = exclude[1, 0] = True
    a.requires_grad_()
    changed = b.clone()
    changed[1] = a.detach()[0]  # as hard a negative as there is for image 0
    hard = contrast(a, changed)
    assert contrast(a, changed, exclude) < hard
    alone = a @ b.T
    alone[0, 1].backward()
    assert contrast(a, b, torch.ones(4, 4, dtype=torch.bool)).item() == pytest.approx(0, abs=1e-6)


def test_hmmc_takes_only_the_terms_that_weigh():
    v, t, v2, t2 = embeddings(4, 7)
    batches = {"images": v, "texts": t, "image_views": v2, "text_views": t2}
    full = hmmc(batches, triplet, {"cross": 1.0, "image": 2.0, "text": 3.0})
    assert full["total"].item() == pytest.approx((full["cross"] + 2 * full["image"] + 3 * full["text"]).item())
    alone = hmmc({"images": v, "texts": t}, triplet, {"cross": 1.0, "image": 0.0, "text": 0.0})
    assert set(alone) == {"cross", "total"}
    assert torch.equal(alone["total"], full["cross"])


def test_false_negatives_are_same_image_or_same_caption():
    masks = false_negatives(torch.tensor([0, 0, 1, 2]), torch.tensor([5, 6, 7, 6]))
    assert masks["cross"].int().tolist() == [[1, 1, 0, 0], [1, 1, 0, 1], [0, 0, 1, 0], [0, 1, 0, 1]]
    assert masks["image"].int().tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    assert torch.equal(masks["text"], masks["cross"])


def test_hmmc_matches_the_released_loss_and_its_gradients(real_data):
    golden = load_file(real_data.parent / "golden" / "hmmc.safetensors")
    names = ("v", "t", "v_aug", "t_aug")
    leaves = [golden[name].clone().requires_grad_() for name in names]
    batches = ("images", "texts", "image_views", "text_views")
    embedded = {batch: normalize(leaf, dim=-1) for batch, leaf in zip(batches, leaves, strict=True)}
    terms = hmmc(embedded, triplet)
    terms["total"].backward()
    for name, value in terms.items():
        assert value.item() == pytest.approx(golden[f"loss_{name}"].item(), abs=1e-6)
    for name, leaf in zip(names, leaves, strict=True):
        torch.testing.assert_close(leaf.grad, golden[f"grad_{name}"], atol=1.5e-8, rtol=0)


def test_a_term_is_added_by_one_line(monkeypatch):
    monkeypatch.setitem(losses.TERMS, "views", ("image_views", "text_views"))
    v, t, v2, t2 = embeddings(4, 7)
    batches = {"images": v, "texts": t, "image_views": v2, "text_views": t2}
    weights = {"cross": 1.0, "image": 0.0, "text": 0.0, "views": 0.5}
    assert views_needed(weights) == {"image_views", "text_views"}
    terms = hmmc(batches, infonce, weights)
    assert set(terms) == {"cross", "views", "total"}
    assert terms["total"].item() == pytest.approx((infonce(v, t) + 0.5 * infonce(v2, t2)).item())
    masks = false_negatives(torch.tensor([0, 0]), torch.tensor([1, 2]))
    assert torch.equal(masks["views"], masks["cross"])
