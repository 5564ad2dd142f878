"""Focus-Adapter: its arithmetic, what it reads, trains and keeps."""

import functools
import math

import open_clip
import pytest
import torch
from layouts import meta_model
from small_clips import backbone_of, moved, tiny_clip
from torch import nn
from torch.nn.functional import gelu, layer_norm

from petl_core import adapters
from petl_core.adapters.focus import ATTENTIONS, FocusLayer, focus_maps, query_and_keys
from petl_core.backbone import Backbone, trim
from petl_core.errors import ConfigError
from petl_core.losses import infonce

moved_far = functools.partial(moved, scale=0.2)  # for gates far from even


@pytest.mark.parametrize(
    ("name", "taps", "layers"),
    [
        ("ViT-B-32-quickgelu", 6, (1, 3, 5, 7, 9, 11)),
        ("ViT-B-32-quickgelu", 5, (1, 3, 6, 8, 11)),
        ("ViT-B-32-quickgelu", 1, (11,)),
        ("ViT-B-32-quickgelu", 40, tuple(range(12))),
        ("ViT-L-14-quickgelu", 6, (3, 7, 11, 15, 19, 23)),
    ],
)
def test_taps_are_evenly_spaced_and_the_last_block_is_one(name, taps, layers):
    assert meta_model(name, "focus", taps=taps).method.taps["visual"].layers == layers


def step(model, images, tokens):
    optimizer = torch.optim.SGD(model.trainable().values(), lr=0.1)
    loss = model.encode_image(images).square().sum() + model.encode_text(tokens).square().sum()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def by_hand(branch: nn.Module, attention: str, embedding: torch.Tensor, states: list, query: int, keys: list[int]):
    """One sample's embedding (d,), token by token; ``states`` are T tensors (N, width)."""
    n = len(states[0])
    s = [torch.zeros(branch.up.in_features)] * n
    for alpha, down, layer, h in zip(branch.gates, branch.downs, branch.layers, states, strict=True):
        mu = 1 / (1 + math.exp(-alpha))
        s = [mu * s[i] + (1 - mu) * down(layer_norm(h[i], h[i].shape)) for i in range(n)]
        if attention in ("focus", "unsuppressed"):
            q = layer.query(s[query])
            scores = torch.stack([q @ layer.key(s[i]) for i in keys]) / len(q) ** 0.5
            a = (scores.exp() / scores.exp().sum()).tolist()
        else:
            a = [1 / len(keys)] * len(keys)
        if attention == "focus":
            for weight, i in zip(a, keys, strict=True):
                s[i] = min(1.0, len(keys) * weight) * s[i]
        if attention != "none":
            s[query] = s[query] + sum(weight * layer.value(s[i]) for weight, i in zip(a, keys, strict=True))
        s = [x + layer.narrow(gelu(layer.widen(x))) for x in s]
    return embedding + branch.up(s[query])


@pytest.mark.parametrize("attention", ATTENTIONS)
@torch.no_grad()
def test_image_branch_is_its_plain_loop(backbone, images, attention):
    model = moved_far(adapters.attach(backbone, "focus", attention=attention, taps=2))
    assert model.method.taps["visual"].layers == (0, 2)
    embeddings, states = model.method.taps["visual"].unpack(model.tap_image(images))
    expected = [
        by_hand(model.method.image, attention, embeddings[b], [h[b] for h in states], 0, list(range(1, 17)))
        for b in range(6)
    ]
    torch.testing.assert_close(model.encode_image(images), torch.stack(expected), rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_text_branch_is_its_plain_loop(backbone, tokens):
    model = moved_far(adapters.attach(backbone, "focus"))
    assert model.method.taps["text"].layers == (0, 1)
    embeddings, states = model.method.taps["text"].unpack(model.tap_text(tokens))
    expected = []
    for b, caption in enumerate(tokens):
        eot = int(caption.argmax())
        states_of = [h[b] for h in states]
        expected.append(by_hand(model.method.text, "unsuppressed", embeddings[b], states_of, eot, list(range(eot))))
    torch.testing.assert_close(model.encode_text(trim(tokens)), torch.stack(expected), rtol=1e-4, atol=1e-4)


def test_patches_attended_below_average_are_suppressed_and_the_others_pass():
    layer = FocusLayer(4, "focus").requires_grad_(False)
    for projection in (layer.query, layer.key):
        nn.init.eye_(projection.weight)
    s = torch.zeros(1, 4, 4)
    s[0, :, 0] = torch.tensor([2.0, 1.0, 0.0, -1.0])  # CLS, then three patches
    is_cls = torch.tensor([[1.0, 0, 0, 0]])
    _, w = layer(s, is_cls, is_cls == 0)
    a = torch.tensor([1.0, 0.0, -1.0]).softmax(0)  # 2 x s / sqrt(4)
    torch.testing.assert_close(w, torch.tensor([[1.0, 1.0, 3 * a[1], 3 * a[2]]]))
    even = s.clone()
    even[0, 1:, 0] = 1.0
    torch.testing.assert_close(layer(even, is_cls, is_cls == 0)[1], torch.ones(1, 4))


def test_no_gradient_reaches_the_backbone_and_all_of_the_branch_trains(backbone, images, tokens):
    clip = backbone.clip
    model = adapters.attach(backbone, "focus").train()
    graphs = []
    for tower in (clip.visual, clip.text):
        for block in tower.transformer.resblocks:
            block.register_forward_hook(lambda _, __, output: graphs.append(output.requires_grad))
    before = {name: p.clone() for name, p in clip.named_parameters()}
    for _ in range(2):  # the zero-initialised up-projection passes gradient on from the second step
        step(model, images, tokens)
    assert not any(graphs)
    assert all(torch.equal(p, before[name]) and p.grad is None for name, p in clip.named_parameters())
    assert model.trainable_count() == sum(p.numel() for p in model.method.parameters())
    assert all(p.grad is not None and p.grad.any() for p in model.method.parameters())


@pytest.mark.parametrize("modality", ["visual", "text"])
def test_only_one_tensor_per_tap_is_kept_for_the_backward_pass(backbone, images, tokens, modality):
    clip = backbone.clip
    model = moved_far(adapters.attach(backbone, "focus", taps=2)).train()
    tower = getattr(clip, modality)
    made, saved = [], []  # tensors, held so that no other gets their memory
    for module in tower.modules():
        module.register_forward_hook(lambda _, __, output: made.extend(output if type(output) is tuple else [output]))

    def keep(tensor):
        saved.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        if modality == "visual":
            embedding, samples, length = model.encode_image(images), len(images), 17
        else:
            short = trim(tokens)
            embedding, (samples, length) = model.encode_text(short), short.shape
    kept = [t for t in saved if not isinstance(t, nn.Parameter)]
    weights = {id(p) for p in clip.parameters()}
    assert embedding.requires_grad
    assert not any(id(t) in weights for t in saved)
    assert not {storage(t) for t in made if torch.is_tensor(t)} & {storage(t) for t in kept}
    d = tower.transformer.width
    wide = {storage(t): t for t in kept if t.dim() and t.shape[-1] >= d}
    assert [t.numel() for t in wide.values()] == [samples * length * d] * 2


def storage(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def test_places_of_queries_and_keys():
    tokens = torch.tensor([[8, 3, 9, 0], [8, 2, 4, 9]])
    at, keys = query_and_keys(tokens, "argmax", None, 0)
    assert at.tolist() == [[0, 0, 1, 0], [0, 0, 0, 1]]
    assert keys.tolist() == [[True, True, False, False], [True, True, True, False]]
    assert query_and_keys(tokens, "eos", 4, 0)[0].argmax(1).tolist() == [0, 2]
    at, keys = query_and_keys(tokens, "first", None, 0)
    assert at.argmax(1).tolist() == [0, 0]
    assert keys.tolist() == [[False, True, True, False], [False, True, True, True]]


def test_an_exclamation_mark_whose_token_is_that_of_padding_is_a_key():
    _, keys = query_and_keys(torch.tensor([[8, 0, 4, 9, 0]]), "argmax", None, 0)
    assert keys.tolist() == [[True, True, True, False, False]]


def test_a_text_tower_that_pools_none_of_its_tokens_is_refused():
    clip = open_clip.CustomTextCLIP(
        32, {"image_size": 32, "patch_size": 8, "width": 64, "layers": 1, "head_width": 32},
        {"width": 32, "heads": 2, "layers": 1, "embed_cls": True},
    )  # fmt: skip
    with pytest.raises(ConfigError, match="does not pool one of its caption's tokens"):
        adapters.attach(backbone_of(clip), "focus")


def to_clip(clip, method: str, **options) -> adapters.AdaptedCLIP:
    """Attached to a backbone that only ever sees tensors."""
    return adapters.attach(Backbone(clip, None, None), method, **options)


def test_maps_lie_on_the_patch_grid():
    model = moved_far(to_clip(tiny_clip(image_size=(32, 48)), "focus"))
    maps = focus_maps(model, torch.randn(2, 3, 32, 48))
    assert maps.shape == (2, 3, 4, 6)
    assert 0 <= maps.min() < 0.99 and maps.max() == 1
    plain = moved_far(to_clip(tiny_clip(), "focus", attention="unsuppressed"))
    assert (focus_maps(plain, torch.randn(2, 3, 32, 32)) == 1).all()
    with pytest.raises(ConfigError, match="'mrs'"):
        focus_maps(to_clip(tiny_clip(), "mrs"), torch.randn(2, 3, 32, 32))


def planted(codes: torch.Tensor, which: torch.Tensor, grid: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Images of noise with one of the codes (K, 3, p, p) on one patch, its row and its column."""
    p = codes.shape[-1]
    images = torch.randn(len(which), 3, grid * p, grid * p)
    rows, columns = torch.randint(grid, (2, len(which)))
    for image, code, row, column in zip(images, codes[which], rows, columns, strict=True):
        image[:, row * p : (row + 1) * p, column * p : (column + 1) * p] = code
    return images, rows, columns


def test_trained_focus_lies_on_planted_small_targets():
    torch.manual_seed(0)
    clip = open_clip.CustomTextCLIP(
        embed_dim=32,
        vision_cfg={"image_size": 48, "patch_size": 8, "width": 64, "layers": 2, "head_width": 32},
        text_cfg={"context_length": 4, "vocab_size": 16, "width": 32, "heads": 1, "layers": 1},
    )
    model = to_clip(clip.eval(), "focus", taps=2).train()
    codes = 2 * torch.randn(8, 3, 8, 8)
    captions = torch.tensor([[1, 2 + code, 15, 0] for code in range(8)])  # each names its image's target
    optimizer = torch.optim.Adam(model.trainable().values(), 1e-2)
    for _ in range(200):
        images, _, _ = planted(codes, torch.arange(8), grid=6)
        loss = infonce(model.encode_image(images, normalize=True), model.encode_text(captions, normalize=True))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    images, rows, columns = planted(codes, torch.arange(8).repeat(25), grid=6)
    weights = focus_maps(model.eval(), images)  # (B, layers, 6, 6)
    on_target = weights[torch.arange(200), :, rows, columns]
    background = (weights.sum(dim=(2, 3)) - on_target) / 35
    difference = (on_target - background).mean(dim=1)
    assert difference.mean() > 0.1
    assert difference.mean() > 5 * difference.std() / math.sqrt(200)
