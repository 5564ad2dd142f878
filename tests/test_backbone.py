import copy
from types import SimpleNamespace

import open_clip
import pytest
import torch
from drawn_scenes import write
from open_clip_folders import write_folder
from PIL import Image
from small_clips import gelu_and_quick_gelu, hugging_face_backbone, tiny_clip

from petl_core import adapters, backbone
from petl_core.errors import ConfigError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An open_clip folder of random weights."""
    return write_folder(tmp_path_factory.mktemp("clip") / "small")


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    drawn = write(tmp_path_factory.mktemp("data"), "scenes-x", train=6, test=1, size=48, progress=False)
    return sorted((drawn / "scenes-x_images").iterdir())


def test_a_local_folder_loads_frozen(folder):
    loaded = backbone.load(str(folder))
    assert not any(p.requires_grad for p in loaded.clip.parameters())
    assert not loaded.clip.logit_scale.requires_grad
    assert not loaded.clip.training
    assert backbone.fingerprint(loaded.clip) == backbone.fingerprint(backbone.load(f"local-dir:{folder}").clip)


def test_bf16_halves_the_weights_and_keeps_the_fingerprint(folder):
    full, half = backbone.load(str(folder)), backbone.load(str(folder), precision="bf16")
    in_fp32 = [name for name, weight in half.clip.named_parameters() if weight.dtype != torch.bfloat16]
    assert in_fp32 == ["logit_scale"] and torch.equal(half.clip.logit_scale, full.clip.logit_scale)
    assert backbone.fingerprint(full.clip) == backbone.fingerprint(half.clip)


def test_a_temperature_can_be_learned_beside_a_bf16_backbone(folder):
    model = adapters.attach(backbone.load(str(folder), precision="bf16"), "adapter", train_logit_scale=True)
    assert model.trainable()["clip.logit_scale"].dtype == torch.float32


def test_pixels_and_normalisation_equal_open_clips_preprocessing(folder, paths):
    loaded = backbone.load(str(folder))
    expected = torch.stack([loaded.preprocess(Image.open(path)) for path in paths])
    pixels = loaded.pixels(paths)
    assert pixels.dtype == torch.uint8
    assert torch.equal(loaded.normalise(pixels), expected)


def test_the_fingerprint_covers_weights_and_what_they_do_not_determine():
    plain, quick = gelu_and_quick_gelu()
    changed = tiny_clip()
    with torch.no_grad():
        changed.text.ln_final.weight[0] += 1
    last = tiny_clip()
    last.text.pool_type = "last"
    others = [quick, changed, last, tiny_clip(seed=5), tiny_clip(head_width=16), tiny_clip(width=128)]
    assert len({backbone.fingerprint(clip) for clip in (plain, *others)}) == 7
    assert backbone.fingerprint(plain) == backbone.fingerprint(tiny_clip())


def test_the_fingerprint_is_the_same_in_any_precision_and_on_every_machine():
    clip = tiny_clip()
    with torch.no_grad():
        for weight in clip.parameters():  # values that need no generator, as in a file of half precision
            weight.copy_((torch.arange(weight.numel()).remainder(251).float() / 64 - 2).half().view(weight.shape))
    assert backbone.fingerprint(clip) == "b40d81a82e7f8044"
    assert backbone.fingerprint(copy.deepcopy(clip).half()) == "b40d81a82e7f8044"
    assert backbone.fingerprint(copy.deepcopy(clip).bfloat16()) == "b40d81a82e7f8044"


@pytest.mark.parametrize("change", [{"pool_type": "last"}, {"attn_mask": None}, {"cls_emb": torch.zeros(1)}])
def test_captions_of_towers_that_read_their_padding_are_not_trimmed(clip, tokens, change):
    text = copy.deepcopy(clip.text)
    for name, value in change.items():
        delattr(text, name)
        object.__setattr__(text, name, value)
    assert backbone.trim(tokens, clip).shape[1] < tokens.shape[1]
    assert backbone.trim(tokens, SimpleNamespace(text=text)) is tokens


def test_a_caption_with_the_token_that_pads_keeps_its_end():
    (tokens,) = open_clip.get_tokenizer("ViT-B-32")(["a pond !(see the map)"])
    end = int(tokens.argmax())
    assert (tokens[:end] == 0).any(), "the exclamation mark is not the token that pads"
    assert backbone.trim(tokens[None]).tolist() == [tokens[: end + 1].tolist()]


def test_padding_is_what_the_text_tower_takes_for_it():
    reader = hugging_face_backbone().clip
    reader.text.config.pad_token_id = 1  # RoBERTa's, whose start is 0
    tokens = torch.tensor([[0, 7, 8, 2, 1, 1], [0, 7, 2, 1, 1, 1]])
    assert backbone.caption_lengths(tokens, reader).tolist() == [4, 3]
    assert backbone.trim(tokens, reader).tolist() == [[0, 7, 8, 2], [0, 7, 2, 1]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("ViT-B-23",), "is neither an open_clip model .* nor a folder"),
        (("./nowhere",), "has no open_clip_config.json"),
        (("ViT-B-32", "openai"), "use 'ViT-B-32-quickgelu'"),
        (("ViT-B-32-quickgelu", "laion2b_s34b_b79k"), "use 'ViT-B-32'|neither a tag"),
        (("ViT-B-32-quickgelu", "opanai"), "is neither a tag of ViT-B-32-quickgelu .*openai.* nor a file"),
        (("ViT-B-32", "", "fp8"), "precision"),
        (("hf-hub:org/repo", "openai"), "brings its own weights"),
    ],
)
def test_bad_backbones_are_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        backbone.load(*arguments)


def test_a_folder_without_weights_or_with_broken_ones_is_refused(tmp_path, folder):
    (tmp_path / "open_clip_config.json").write_text((folder / "open_clip_config.json").read_text())
    with pytest.raises(ConfigError, match="has no weights"):
        backbone.load(str(tmp_path))
    (tmp_path / "open_clip_model.safetensors").write_bytes(b"x" * 100)
    with pytest.raises(ConfigError, match="backbone"):
        backbone.load(str(tmp_path))


def test_real_backbone_loads(real_data):
    loaded = backbone.load(str(real_data / "natural-clip"))
    assert loaded.clip.visual.image_size == (112, 112)
    assert loaded.tokens(["an airport"]).shape == (1, 77)
