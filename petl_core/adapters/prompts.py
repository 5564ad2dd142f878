"""Learned tokens in a frozen tower: CoOp (text), VPT (image), VL-Prompt (both).

They enter at the residual blocks, after the token dropout of a second view, which therefore leaves them unchanged.
"""

import math
from functools import partial

import torch
from pydantic import PositiveInt
from pydantic.dataclasses import dataclass
from torch import nn

from petl_core.adapters.base import STRICT, Method
from petl_core.adapters.towers import residual_blocks, width_of
from petl_core.backbone import caption_lengths
from petl_core.errors import ConfigError


@dataclass(frozen=True, config=STRICT)
class CoOpOptions:
    """Learned tokens before a caption."""

    tokens: PositiveInt = 16
    deep: bool = False  # new tokens for every block; the canonical method has only the first block's


@dataclass(frozen=True, config=STRICT)
class VPTOptions:
    """Learned tokens next to the patches."""

    tokens: PositiveInt = 50
    deep: bool = True  # new tokens for every block; False is VPT-shallow


@dataclass(frozen=True, config=STRICT)
class VLPromptOptions:
    """VPT's options and CoOp's."""

    image_tokens: PositiveInt = 50
    image_deep: bool = True
    text_tokens: PositiveInt = 16
    text_deep: bool = False


class CoOp(Method):
    """Context optimization (Zhou et al., IJCV 2022, section 3.2), before captions instead of class names::

        [SOS, c_1, ..., c_n, caption, EOT] + positions    # (B, n + L, width)

    One context for all captions, from N(0, 0.02). A caption too long for the tower loses its last words, not
    its EOT. Deep: blocks 2, 3, ... replace the n tokens with their own, without positions. 8,192 parameters on
    ViT-B/32; deep 98,304, the 0.10M of PE-RSITR's tables.
    """

    title = "CoOp"
    parameter_count = 8_192
    Options = CoOpOptions

    def __init__(self, clip: nn.Module, options: CoOpOptions):
        super().__init__(clip, options)
        blocks = residual_blocks(clip.text)
        length = clip.text.context_length
        if options.tokens > length - 3:
            raise ConfigError(f"{options.tokens} context tokens leave fewer than 3 of {length} to the caption")
        layers = len(blocks) if options.deep else 1
        self.context = nn.Parameter(torch.empty(layers, options.tokens, width_of(clip.text)))
        nn.init.normal_(self.context, std=0.02)
        for layer in range(layers):
            blocks[layer].register_forward_pre_hook(partial(self._replace, clip.text, layer))

    def encode_text(self, clip: nn.Module, tokens: torch.Tensor) -> torch.Tensor:
        # The tower gives placeholders their positions and mask; the first block replaces them.
        return clip.encode_text(make_room(tokens, self.context.shape[1], clip.text.context_length, clip))

    def _replace(self, tower: nn.Module, layer: int, _: nn.Module, inputs: tuple) -> tuple:
        context = self.context[layer]  # (n, width)
        if layer == 0:
            context = context + tower.positional_embedding[1 : len(context) + 1]
        x, *others = inputs
        return (_put_after_first(x, context, replace=len(context)), *others)


class VPT(Method):
    """Visual prompt tuning (Jia et al., ECCV 2022, section 3.2)::

        [CLS, _, patches] = block_i([CLS, p_i1, ..., p_in, patches])    # (B, 1 + n + patches, width)

    The tokens enter after position embedding and ``ln_pre`` and leave after the last block. Not deep: only
    p_1 is learned, and block 2 takes the output of block 1. Starts uniform within
    sqrt(6 / (3 * patch area + width)), as released. 460,800 parameters on ViT-B/32.
    """

    title = "VPT"
    parameter_count = 460_800
    Options = VPTOptions

    def __init__(self, clip: nn.Module, options: VPTOptions):
        super().__init__(clip, options)
        blocks = residual_blocks(clip.visual)
        layers = len(blocks) if options.deep else 1
        self.prompts = nn.Parameter(torch.empty(layers, options.tokens, width_of(clip.visual)))
        bound = math.sqrt(6 / (3 * math.prod(clip.visual.patch_size) + width_of(clip.visual)))
        nn.init.uniform_(self.prompts, -bound, bound)
        for layer in range(layers):
            blocks[layer].register_forward_pre_hook(partial(self._insert, layer))
        blocks[-1].register_forward_hook(self._remove)

    def _insert(self, layer: int, _: nn.Module, inputs: tuple) -> tuple:
        prompts = self.prompts[layer]  # (n, width)
        x, *others = inputs
        return (_put_after_first(x, prompts, replace=len(prompts) if layer else 0), *others)

    def _remove(self, _: nn.Module, __: tuple, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([x[:, :1], x[:, 1 + self.prompts.shape[1] :]], dim=1)


class VLPrompt(Method):
    """VPT in the image tower and CoOp in the text tower; 468,992 parameters on ViT-B/32."""

    title = "VL-Prompt"
    parameter_count = 468_992
    Options = VLPromptOptions

    def __init__(self, clip: nn.Module, options: VLPromptOptions):
        super().__init__(clip, options)
        self.image = VPT(clip, VPTOptions(options.image_tokens, options.image_deep))
        self.text = CoOp(clip, CoOpOptions(options.text_tokens, options.text_deep))

    def encode_text(self, clip: nn.Module, tokens: torch.Tensor) -> torch.Tensor:
        return self.text.encode_text(clip, tokens)


def make_room(tokens: torch.Tensor, count: int, context: int, clip: nn.Module | None = None) -> torch.Tensor:
    """Token ids with ``count`` placeholders after SOS: (B, L) -> (B, min(L + count, context)).

    A caption that is cut still ends with its EOT. The placeholder is SOS: no tower masks it or pools there. Padding is
    that of the text tower of ``clip``, or CLIP's (:func:`petl_core.backbone.caption_lengths`).
    """
    lengths = caption_lengths(tokens, clip)[:, None]  # (B, 1)
    end = tokens.gather(1, lengths - 1)  # (B, 1): EOT
    start = tokens[:, :1].expand(-1, count + 1)
    room = torch.cat([start, tokens[:, 1:]], dim=1)[:, :context]
    is_cut = lengths + count > context
    return torch.cat([room[:, :-1], torch.where(is_cut, end, room[:, -1:])], dim=1)


def _put_after_first(x: torch.Tensor, prompts: torch.Tensor, replace: int) -> torch.Tensor:
    """(B, N, width) with ``prompts`` (n, width) in the place of the ``replace`` tokens after the first."""
    return torch.cat([x[:, :1], prompts.to(x.dtype).expand(len(x), -1, -1), x[:, 1 + replace :]], dim=1)
