"""A small CLIP pre-trained from scratch, saved as an open_clip folder: the default backbone on a bare machine.

Every batch is cut into the same few shards. Each is encoded and back-propagated on one thread, and the gradients are
added up in a fixed order, so the weights are bit-identical on any number of cores.
"""

import dataclasses
import math
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import filelock
import numpy as np
import open_clip
import torch
from safetensors.torch import save_file
from tqdm.auto import tqdm

from petl_core import backbone, losses, retrieval
from petl_core.adapters import AdaptedCLIP, attach
from petl_core.data import RetrievalData
from petl_core.errors import ConfigError
from petl_core.files import read_json, write_atomically, write_json
from petl_core.training.encoding import PreparedSplit, embed, prepare
from petl_core.training.epoch import LARGEST_LOGIT_SCALE, in_batches, one_caption_per_image

RECIPE = 1  # raised whenever the same configuration would train differently, or the scenes it is trained on change
SHARDS = 4  # of a batch of images; its captions, which are cheaper, are one more


@dataclass(frozen=True)
class PretrainConfig:
    """Shape and recipe; sizes in pixels and channels."""

    dataset: str
    image_size: int = 64
    patch_size: int = 8
    width: int = 128
    head_width: int = 32
    visual_layers: int = 4
    text_layers: int = 3
    epochs: int = 6
    batch_size: int = 128
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    warmup: float = 0.1  # fraction of all steps
    seed: int = 0
    shards: int = SHARDS

    def model(self) -> dict:
        """The ``open_clip_config.json`` of this shape; CLIP's own tokenizer, mean and deviation."""
        return {
            "model_cfg": {
                "embed_dim": self.width,
                "vision_cfg": {
                    "image_size": self.image_size,
                    "layers": self.visual_layers,
                    "width": self.width,
                    "head_width": self.head_width,
                    "patch_size": self.patch_size,
                },
                "text_cfg": {
                    "width": self.width,
                    "heads": self.width // self.head_width,
                    "layers": self.text_layers,
                },
            },
            "preprocess_cfg": {"mean": open_clip.OPENAI_DATASET_MEAN, "std": open_clip.OPENAI_DATASET_STD},
        }


def is_done(folder: Path, config: PretrainConfig) -> bool:
    """Whether ``folder`` holds this backbone.

    Raises:
        ConfigError: it holds a backbone of another recipe.
    """
    path = Path(folder) / "pretrain.json"
    if not path.exists():
        return False
    report = read_json(path)
    if report["config"] != dataclasses.asdict(config) or report.get("recipe", 1) != RECIPE:
        raise ConfigError(f"{folder} holds a backbone of another recipe; delete it to pre-train this one")
    return True


def pretrain(config: PretrainConfig, dataset: RetrievalData, folder: Path, progress: bool = False) -> dict:
    """Train a CLIP on ``dataset`` and write it to ``folder``; returns the content of its ``pretrain.json``.

    That file is written last: if it exists, the backbone is complete.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(folder / ".lock"):
        if is_done(folder, config):
            return read_json(folder / "pretrain.json")
        started = time.perf_counter()
        write_json(folder / "open_clip_config.json", config.model())
        model = _build(config)
        with _one_thread_per_operation(), ThreadPoolExecutor(os.cpu_count()) as pool:
            trainer = _Trainer(config, model, prepare(dataset.train, model.backbone, progress), pool)
            history = trainer.train(progress)
        weights = {name: tensor.contiguous() for name, tensor in model.clip.state_dict().items()}
        write_atomically(folder / "open_clip_model.safetensors", lambda path: save_file(weights, path))
        scores = retrieval.similarity(*embed(model, prepare(dataset.test, model.backbone, progress)))
        report = {
            "recipe": RECIPE,
            "config": dataclasses.asdict(config),
            "parameters": model.trainable_count(),
            "history": history,
            "scores": retrieval.evaluate(scores, dataset.test.image_of),
            "seconds": time.perf_counter() - started,
        }
        write_json(folder / "pretrain.json", report)
        return report


class _Trainer:
    """A model in pre-training on a prepared split."""

    def __init__(self, config: PretrainConfig, model: AdaptedCLIP, train: PreparedSplit, pool: ThreadPoolExecutor):
        self.config, self.model, self.train_split, self.pool = config, model, train, pool
        self.parameters = list(model.trainable().values())
        optimizer = torch.optim.AdamW(self.parameters, weight_decay=config.weight_decay, betas=(0.9, 0.98), fused=True)
        self.optimizer = optimizer

    def train(self, progress: bool) -> list[dict]:
        """All epochs; the mean loss of each."""
        config = self.config
        steps = config.epochs * math.ceil(len(self.train_split.image_rows) / config.batch_size)
        history, step = [], 0
        with tqdm(total=steps, desc="pre-training", disable=not progress, unit="step", mininterval=1) as bar:
            for epoch in range(config.epochs):
                total, batches = 0.0, list(self._batches(epoch))
                for rows in batches:
                    total += self._step(rows, _learning_rate(config, step / steps))
                    step += 1
                    bar.update()
                history.append({"epoch": epoch + 1, "loss": total / len(batches)})
                bar.set_postfix(loss=f"{history[-1]['loss']:.3f}")
        return history

    def _batches(self, epoch: int) -> Iterator[torch.Tensor]:
        rng = np.random.default_rng([self.config.seed, epoch])
        return in_batches(one_caption_per_image(self.train_split, rng), self.config.batch_size)

    def _step(self, rows: torch.Tensor, rate: float) -> float:
        """One update on the captions ``rows`` (B,) and their images; returns the loss."""
        # Forward, shard by shard: each has its own graph.
        encoders = [*self._image_encoders(rows), self._text_encoder(rows)]
        *image_shards, texts = self.pool.map(lambda encode: encode(), encoders)

        # The loss of the whole batch, and its gradient at every embedding and at the temperature.
        leaves = [shard.detach().requires_grad_() for shard in (*image_shards, texts)]
        temperature = 1 / self.model.clip.logit_scale.exp().clamp(max=LARGEST_LOGIT_SCALE)
        loss = losses.infonce(torch.cat(leaves[:-1]), leaves[-1], temperature=temperature)
        scale = self.model.clip.logit_scale
        *at_embeddings, at_scale = torch.autograd.grad(loss, [*leaves, scale])

        # Backward, shard by shard, added up in order.
        def backward(shard: torch.Tensor, gradient: torch.Tensor):
            return torch.autograd.grad(shard, self.parameters, gradient, allow_unused=True)

        self.optimizer.zero_grad(set_to_none=True)
        for gradients in self.pool.map(backward, (*image_shards, texts), at_embeddings):
            for parameter, gradient in zip(self.parameters, gradients, strict=True):
                if gradient is not None:
                    parameter.grad = gradient if parameter.grad is None else parameter.grad + gradient
        scale.grad = at_scale

        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        return loss.item()

    def _image_encoders(self, rows: torch.Tensor) -> list[Callable[[], torch.Tensor]]:
        """For each shard an encoder of its images, (B / shards, d) normalised."""
        pixels = self.train_split.inputs.pixels[self.train_split.image_rows[self.train_split.image_of[rows]].numpy()]

        def encoder(shard: torch.Tensor) -> Callable[[], torch.Tensor]:
            return lambda: self.model.encode_image(self.model.backbone.normalise(shard), normalize=True)

        return [encoder(shard) for shard in torch.from_numpy(pixels).chunk(self.config.shards)]

    def _text_encoder(self, rows: torch.Tensor) -> Callable[[], torch.Tensor]:
        tokens = backbone.trim(self.train_split.inputs.tokens[self.train_split.caption_rows[rows]])
        return lambda: self.model.encode_text(tokens, normalize=True)


@contextmanager
def _one_thread_per_operation():
    """The number of threads that share a sum changes its last digits, and with them every figure of the study."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _build(config: PretrainConfig) -> AdaptedCLIP:
    torch.manual_seed(config.seed)
    clip = open_clip.CustomTextCLIP(**config.model()["model_cfg"])
    preprocess = open_clip.image_transform(config.image_size, is_train=False)
    untrained = backbone.Backbone(clip, preprocess, open_clip.get_tokenizer("ViT-B-32"))
    return attach(untrained, "full", train_logit_scale=True)


def _learning_rate(config: PretrainConfig, done: float) -> float:
    """Linear warm-up, then cosine to zero; ``done`` in [0, 1)."""
    if done < config.warmup:
        return config.learning_rate * (done / config.warmup)
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * (done - config.warmup) / (1 - config.warmup)))
