"""How many parameters a method trains: the count on its class, published counts, and the arithmetic behind them."""

import pytest
from layouts import meta_model

from petl_core.adapters import METHODS

BACKBONE = 151_277_313  # parameters of ViT-B/32


def L(inputs: int, outputs: int) -> int:
    """A linear layer with bias."""
    return inputs * outputs + outputs


def count(architecture: str, name: str, **options) -> int:
    return meta_model(architecture, name, **options).trainable_count()


@pytest.mark.parametrize("name", METHODS)
def test_the_count_on_a_method_is_what_it_trains(name):
    assert METHODS[name].parameter_count == count("ViT-B-32-quickgelu", name)


def test_every_method_has_its_own_title():
    titles = [method.title for method in METHODS.values()]
    assert len(set(titles)) == len(METHODS)


def test_the_backbone_is_as_large_as_published():
    model = meta_model("ViT-B-32-quickgelu", "full", train_logit_scale=True)
    assert sum(p.numel() for p in model.clip.parameters()) == BACKBONE == model.trainable_count() + 1


CONVOLUTION = 64 * 64 * 9 + 64
HOULSBY = L(768, 64) + L(64, 768) + L(512, 64) + L(64, 512)
CROSS_MODAL = L(768, 64) + L(64, 736) + L(512, 64) + L(64, 480) + L(64, 32)
UNIADAPTER = L(768, 268) + L(268, 768) + L(268, 512) + 2 * (768 + 512)
MRS = L(768, 64) + L(64, 704) + L(512, 64) + L(64, 448) + L(64, 64)


def lst_side(d: int, r: int, layers: int, embedding: int) -> int:
    block = 4 * L(r, r) + L(r, 4 * r) + L(4 * r, r) + 4 * r
    return layers * (block + 1) + (layers + 1) * L(d, r) + 2 * r + L(r, embedding)


def focus_branch(d: int, embedding: int) -> int:
    r = d // 8
    return 6 * (L(d, r) + 3 * r * r + L(r, 2 * r) + L(2 * r, r) + 1) + L(r, embedding)


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("linear_probe", {}, 2 * L(512, 1024)),
        ("linear_probe", {"width": 512}, 2 * L(512, 512)),
        ("coop", {}, 16 * 512),
        ("coop", {"deep": True}, 98_304),
        ("vpt", {}, 12 * 50 * 768),
        ("vpt", {"deep": False}, 50 * 768),
        ("vl_prompt", {}, 12 * 50 * 768 + 16 * 512),
        ("vl_prompt", {"text_deep": True}, 460_800 + 98_304),
        ("adapter", {}, HOULSBY),
        ("adapter", {"shared": False}, 24 * HOULSBY),
        ("clip_adapter", {}, 4 * 512 * 256),
        ("convpass", {}, L(768, 64) + CONVOLUTION + L(64, 768)),
        ("convpass", {"shared": False}, 24 * (L(768, 64) + CONVOLUTION + L(64, 768))),
        ("adaptformer", {}, HOULSBY),
        ("adaptformer", {"shared": False}, 12 * HOULSBY),
        ("cross_modal", {}, CROSS_MODAL),
        ("cross_modal", {"share": 64}, 161_088),
        ("cross_modal", {"shared": False}, 24 * CROSS_MODAL),
        ("uniadapter", {}, UNIADAPTER),
        ("uniadapter", {"shared": False}, 12 * UNIADAPTER),
        ("uniadapter", {"layer_norm": False}, 550_412),
        ("mrs", {}, MRS),
        ("mrs", {"shared": False}, 12 * MRS),
        ("lora", {}, 12 * 2 * 2 * 4 * (768 + 512)),
        ("lora", {"rank": 8, "alpha": 1.0}, 2 * 245_760),
        ("lst", {}, lst_side(768, 96, 12, 512) + lst_side(512, 64, 12, 512)),
        ("lst", {"reduction": 4}, lst_side(768, 192, 12, 512) + lst_side(512, 128, 12, 512)),
        ("focus", {}, focus_branch(768, 512) + focus_branch(512, 512)),
        ("focus", {"text": False}, 881_414),
        ("focus", {"attention": "unsuppressed"}, 1_284_876),
        ("focus", {"attention": "uniform"}, 1_284_876 - 6 * 2 * 96 * 96),
        ("focus", {"attention": "none"}, 1_284_876 - 6 * 3 * 96 * 96),
    ],
)
def test_counts_on_vit_b_32_are_their_arithmetic(name, options, expected):
    assert count("ViT-B-32-quickgelu", name, **options) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("linear_probe", 2 * L(768, 1536)),
        ("vl_prompt", 24 * 50 * 1024 + 16 * 768),
        ("clip_adapter", 4 * 768 * 384),
        ("lora", 16 * (24 * 1024 + 12 * 768)),
        ("bitfit", 24 * 11 * 1024 + 2 * 1024 + 12 * 11 * 768 + 768),
        ("focus", focus_branch(1024, 768) + focus_branch(768, 768)),
    ],
)
def test_counts_on_vit_l_14_are_their_arithmetic(name, expected):
    assert count("ViT-L-14-quickgelu", name) == expected


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("zero_shot", 0),
        ("linear_probe", 1_050_624),
        ("full", BACKBONE - 1),  # without logit_scale, which our counts leave out
        ("coop", 8_192),
        ("vpt", 460_800),
        ("vl_prompt", 468_992),
        ("adapter", 165_248),
        ("clip_adapter", 524_288),
        ("convpass", 136_064),
        ("adaptformer", 165_248),
        ("cross_modal", 163_168),
        ("uniadapter", 552_972),
        ("mrs", 161_088),
        ("lora", 245_760),
        ("bitfit", 171_008),
        ("lst", 3_411_704),
        ("focus", 1_284_876),
    ],
)
def test_counts_as_printed_in_the_tables(name, published):
    """By hand, so that no class and its test move together."""
    assert METHODS[name].parameter_count == published


def test_focus_trains_below_2_percent_of_the_backbone():
    assert METHODS["focus"].parameter_count / BACKBONE < 0.02
