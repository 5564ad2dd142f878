"""Small CLIPs of a moment's construction, as frozen backbones, and what tests do with a model on one of them.

Two kinds: :func:`tiny_clip` reads captions of CLIP's own tokenizer; :func:`shaped_clip` has a vocabulary of 300 and
comes in two shapes, in which one or the other tower is wider and deeper, so that nothing passes that mixes them up.
"""

import functools

import open_clip
import torch
from torch.nn.functional import cross_entropy

from petl_core.backbone import Backbone

TINY = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 32, "patch_size": 8, "width": 96, "layers": 3, "head_width": 32},
    "text_cfg": {"width": 80, "heads": 2, "layers": 2},
}
CONTEXT, VOCABULARY = 77, 300
SOS, EOT = VOCABULARY - 2, VOCABULARY - 1
SHAPES = {
    "wide image": ((64, 8, 128, 3), (80, 2), 64),
    "wide text": ((32, 16, 80, 2), (128, 3), 48),
}


def tiny_clip(seed: int = 0, **vision) -> open_clip.CustomTextCLIP:
    """Towers of different width and depth, and the vocabulary of CLIP; ``vision`` changes the image tower."""
    torch.manual_seed(seed)
    return open_clip.CustomTextCLIP(**{**TINY, "vision_cfg": {**TINY["vision_cfg"], **vision}}).eval()


def gelu_and_quick_gelu() -> tuple[open_clip.CustomTextCLIP, open_clip.CustomTextCLIP]:
    """Two models that one file of weights fits, and that encode differently."""
    plain = tiny_clip()
    quick = open_clip.CustomTextCLIP(**TINY, quick_gelu=True).eval()
    quick.load_state_dict(plain.state_dict())
    return plain, quick


def shaped_clip(shape: str = "wide image") -> open_clip.CustomTextCLIP:
    """One of ``SHAPES``, the same at every call."""
    (image_size, patch_size, width, layers), (text_width, text_layers), embedding = SHAPES[shape]
    torch.manual_seed(0)
    clip = open_clip.CustomTextCLIP(
        embedding,
        dict(image_size=image_size, patch_size=patch_size, width=width, layers=layers, head_width=32),
        dict(context_length=CONTEXT, vocab_size=VOCABULARY, width=text_width, heads=2, layers=text_layers),
        quick_gelu=True,
    )
    for name, parameter in clip.named_parameters():  # zero biases would hide mistakes
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter, std=0.1)
    return clip


def backbone_of(clip: torch.nn.Module) -> Backbone:
    """A CLIP as :func:`petl_core.backbone.load` would give it."""
    size = getattr(clip.visual, "image_size", 32)
    preprocess = open_clip.image_transform(size, is_train=False)
    return Backbone(clip.eval().requires_grad_(False), preprocess, _tokenizer())


def tiny_backbone(seed: int = 0, **vision) -> Backbone:
    return backbone_of(tiny_clip(seed, **vision))


def shaped_backbone(shape: str = "wide image", dtype: torch.dtype = torch.float32) -> Backbone:
    return backbone_of(shaped_clip(shape).to(dtype))


def hugging_face_backbone() -> Backbone:
    """A text tower of Hugging Face, with a vocabulary that CLIP's tokenizer fits into."""
    import transformers  # here, since few tests need it and it takes seconds
    from open_clip.hf_model import HFTextEncoder

    clip = shaped_clip()
    config = transformers.BertConfig(
        vocab_size=50_000, hidden_size=48, num_hidden_layers=3, num_attention_heads=2, intermediate_size=64
    )
    clip.text = HFTextEncoder("", clip.text.output_dim, config, pooler_type="mean_pooler", proj_type="linear")
    return backbone_of(clip)


def images_for(backbone: Backbone, count: int = 6) -> torch.Tensor:
    size = backbone.clip.visual.image_size
    return torch.randn(count, 3, *size, generator=torch.Generator().manual_seed(1))


def captions(*lengths: int) -> torch.Tensor:
    """(B, 77) for a shaped CLIP: SOS, random words, EOT, zeros; ``lengths`` counts SOS and EOT."""
    generator = torch.Generator().manual_seed(2)
    tokens = torch.zeros(len(lengths), CONTEXT, dtype=torch.long)
    for row, length in zip(tokens, lengths, strict=True):
        row[:length] = torch.randint(1, SOS, (length,), generator=generator)
        row[0], row[length - 1] = SOS, EOT
    return tokens


def embed(model, images, tokens) -> torch.Tensor:
    """(images + captions, d)."""
    with torch.no_grad():
        return torch.cat([model.encode_image(images), model.encode_text(tokens)])


def train_step(model, optimizer, images, tokens) -> None:
    """One step towards telling the pairs apart."""
    v, t = model.encode_image(images, normalize=True), model.encode_text(tokens, normalize=True)
    optimizer.zero_grad()
    cross_entropy(10 * v @ t.T, torch.arange(len(v))).backward()
    optimizer.step()


def moved(model, scale: float = 0.05):
    """Every trained weight away from its start, where an adapter changes nothing, as training would leave it."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for weight in model.trainable().values():
            weight += scale * torch.randn(weight.shape, generator=generator).to(weight.device)
    return model.eval()


@functools.cache
def _tokenizer():
    return open_clip.get_tokenizer("ViT-B-32")
