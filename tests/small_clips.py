"""Small CLIPs of two shapes with their inputs, a step of training, and weights away from their start."""

from functools import partial

import open_clip
import torch
from torch.nn.functional import cross_entropy

CONTEXT, VOCABULARY = 77, 300
SOS, EOT = VOCABULARY - 2, VOCABULARY - 1
SHAPES = {
    "wide image": ((64, 8, 128, 3), (64, 2), 64),
    "wide text": ((32, 16, 64, 2), (128, 3), 48),
}


def tiny(shape: str = "wide image", dtype: torch.dtype = torch.float32) -> open_clip.CustomTextCLIP:
    """A small random CLIP, the same at every call."""
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
    return clip.to(dtype)


def images_for(clip, count: int = 6) -> torch.Tensor:
    size = clip.visual.image_size
    return torch.randn(count, 3, *size, generator=torch.Generator().manual_seed(1))


def captions(*lengths: int) -> torch.Tensor:
    """(B, 77): SOS, random words, EOT, zeros; ``lengths`` counts SOS and EOT."""
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


def step(model, optimizer, images, tokens) -> None:
    v, t = model.encode_image(images, normalize=True), model.encode_text(tokens, normalize=True)
    optimizer.zero_grad()
    cross_entropy(10 * v @ t.T, torch.arange(len(v))).backward()
    optimizer.step()


def changed(model):
    """Every trained parameter moved a little, as training would."""
    with torch.no_grad():
        for parameter in model.trainable().values():
            parameter += 0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(3))
    return model.eval()


def randomise(model: torch.nn.Module, scale: float = 0.05) -> torch.nn.Module:
    """Leave the start, where an adapter changes nothing."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for weight in model.trainable().values():
            weight += scale * torch.randn(weight.shape, generator=generator)
    return model.eval()


randomise_far = partial(randomise, scale=0.2)  # as a Focus-Adapter needs, for gates far from even
