"""A small CLIP pre-trained from scratch, saved as an open_clip folder: the default backbone on a bare machine."""

import dataclasses
import math
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import filelock
import open_clip
import torch
from safetensors.torch import save_file
from tqdm import tqdm

from petl_core import backbone, losses, retrieval
from petl_core.adapters import AdaptedCLIP, attach
from petl_core.data import RetrievalData
from petl_core.files import read_json, write_atomically, write_json
from petl_core.training import encoding as training
from petl_core.validation import ConfigError


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
        ConfigError: it holds one of another recipe.
    """
    report = Path(folder) / "pretrain.json"
    if not report.exists():
        return False
    if read_json(report)["config"] != dataclasses.asdict(config):
        raise ConfigError(f"{folder} holds a backbone of another recipe; delete it to pre-train this one")
    return True


def pretrain(config: PretrainConfig, dataset: RetrievalData, folder: Path, progress: bool = False) -> dict:
    """Train a CLIP on ``dataset`` and write it to ``folder``; returns the content of its ``pretrain.json``.

    That file is written last, so where it stands the backbone is whole. One thread trains, so that machines with more
    cores make the same backbone.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(folder / ".lock"):
        if is_done(folder, config):
            return read_json(folder / "pretrain.json")
        started = time.perf_counter()
        write_json(folder / "open_clip_config.json", config.model())
        model, frozen = _build(config, folder)
        train = training.prepare(dataset.train, frozen, progress)
        with _one_thread():
            history = _train(config, model, frozen, train, progress)
        weights = {name: tensor.contiguous() for name, tensor in model.clip.state_dict().items()}
        write_atomically(folder / "open_clip_model.safetensors", lambda path: save_file(weights, path))
        test = training.prepare(dataset.test, frozen, progress)
        scores = retrieval.similarity(*training.embed(model, frozen, test, torch.device("cpu")))
        report = {
            "config": dataclasses.asdict(config),
            "parameters": model.trainable_count(),
            "history": history,
            "scores": retrieval.evaluate(scores, dataset.test.image_of),
            "seconds": time.perf_counter() - started,
        }
        write_json(folder / "pretrain.json", report)
        return report


@contextmanager
def _one_thread():
    """How many threads share a sum decides its last digits, and with them every figure of the study."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _build(config: PretrainConfig, folder: Path) -> tuple[AdaptedCLIP, backbone.Backbone]:
    torch.manual_seed(config.seed)
    clip = open_clip.CustomTextCLIP(**config.model()["model_cfg"])
    preprocess = open_clip.image_transform(config.image_size, is_train=False)
    frozen = backbone.Backbone(clip, preprocess, open_clip.get_tokenizer("ViT-B-32"))
    return attach(clip, "full", train_logit_scale=True), frozen


def _train(
    config: PretrainConfig,
    model: AdaptedCLIP,
    frozen: backbone.Backbone,
    train: training.Prepared,
    progress: bool,
) -> list[dict]:
    optimizer = torch.optim.AdamW(model.trainable().values(), weight_decay=config.weight_decay, betas=(0.9, 0.98))
    steps = config.epochs * math.ceil(len(train.pixels_of) / config.batch_size)
    history, step = [], 0
    bar = tqdm(total=steps, desc="pre-training", disable=not progress, unit="step", mininterval=1)
    for epoch in range(config.epochs):
        total, batches = (
            0.0,
            list(training.epoch_batches(train, config.batch_size, "images", config.seed, epoch)),
        )
        for rows in batches:
            for group in optimizer.param_groups:
                group["lr"] = _learning_rate(config, step / steps)
            images = frozen.normalise(train.pixels[train.pixels_of[train.image_of[rows]]])
            tokens = backbone.trim(train.tokens[train.tokens_of[rows]])
            loss = losses.infonce(
                model.encode_image(images, normalize=True),
                model.encode_text(tokens, normalize=True),
                temperature=1 / model.clip.logit_scale.exp().clamp(max=100),
            )
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            total, step = total + loss.item(), step + 1
            bar.update()
        history.append({"epoch": epoch + 1, "loss": total / len(batches)})
        bar.set_postfix(loss=f"{history[-1]['loss']:.3f}")
    bar.close()
    return history


def _learning_rate(config: PretrainConfig, done: float) -> float:
    """Linear warm-up, then cosine to zero; ``done`` in [0, 1)."""
    if done < config.warmup:
        return config.learning_rate * (done / config.warmup)
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * (done - config.warmup) / (1 - config.warmup)))
