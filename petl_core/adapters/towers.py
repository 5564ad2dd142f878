"""The internals of CLIP's two towers: their blocks, their widths, and their inputs.

A tower is open_clip's own, or it wraps an encoder of Hugging Face. A method that only reads a tower works with either
kind (:func:`blocks_of`, :func:`width_of`). A method that changes a tower's blocks depends on their internals, so it
works only with open_clip's own (:func:`residual_blocks`).

Built on this: ``taps.py`` reads the outputs of blocks, ``sites.py`` adds adapters to them.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from open_clip.transformer import ResidualAttentionBlock, Transformer
from torch import nn

from petl_core.errors import ConfigError


def towers(clip: nn.Module) -> dict[str, nn.Module]:
    """Both towers by modality."""
    return {"visual": clip.visual, "text": clip.text}


def blocks_of(tower: nn.Module) -> nn.ModuleList:
    """The transformer blocks of an open_clip tower, or of the Hugging Face encoder inside one.

    Raises:
        ConfigError: the tower is not a transformer.
    """
    transformer = getattr(tower, "transformer", None)
    encoder = getattr(transformer, "encoder", transformer)
    for name in ("resblocks", "layer", "layers", "block"):
        if isinstance(getattr(encoder, name, None), nn.ModuleList):
            return getattr(encoder, name)
    raise ConfigError(f"{type(tower).__name__} has no transformer blocks to tap; choose a head on its embeddings")


def residual_blocks(tower: nn.Module) -> nn.ModuleList:
    """The blocks of a tower that is built of open_clip's own residual blocks, which methods know how to change.

    Raises:
        ConfigError: the tower has other blocks, or none.
    """
    blocks = getattr(getattr(tower, "transformer", None), "resblocks", None)
    if blocks is None or not all(isinstance(block, ResidualAttentionBlock) for block in blocks):
        raise ConfigError(
            f"adapts open_clip's residual blocks, but {type(tower).__name__} has none; "
            "choose a method that works on embeddings or on tapped tokens"
        )
    return blocks


def width_of(tower: nn.Module) -> int:
    """Width of the tokens between the blocks of :func:`blocks_of`."""
    blocks_of(tower)
    return tower.config.hidden_size if hasattr(tower, "config") else tower.transformer.width


@contextmanager
def token_dropout(clip: nn.Module, probability: float) -> Iterator[None]:
    """Within this context both towers see token embeddings with elements dropped before block 1.

    PE-RSITR's second view of a batch (section III-C): image tokens after position embedding and ``ln_pre``, CLS
    included; text tokens after position embedding. Gradients flow through the view.

    Raises:
        ConfigError: a tower without open_clip's transformer blocks.
    """
    transformers = []
    for tower in towers(clip).values():
        transformer = getattr(tower, "transformer", None)
        if not isinstance(transformer, Transformer):
            raise ConfigError("second views need open_clip's transformer towers; set w_image and w_text to 0")
        transformers.append(transformer)

    def drop(_, inputs):
        return (nn.functional.dropout(inputs[0], probability, training=True), *inputs[1:])

    handles = [transformer.register_forward_pre_hook(drop) for transformer in transformers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
