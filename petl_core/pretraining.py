"""A small CLIP pre-trained from scratch on drawn ground-level scenes, as an open_clip folder: the default backbone.

``data/small-clip`` holds it, in half precision, so that all machines start from the same weights. It was made by::

    python -m petl_core pretrain data/small-clip

which takes four minutes on two cores and repeats itself up to rounding, which differs between processors.
"""

import math
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import open_clip
import torch
from safetensors.torch import save_file
from tqdm.auto import tqdm

from petl_core import backbone, losses
from petl_core.adapters import AdaptedCLIP, attach
from petl_core.data import default_data
from petl_core.files import resolve, write_atomically, write_json
from petl_core.inputs import PreparedSplit, embed_images, embed_texts, prepare, read_images, read_texts
from petl_core.training import LARGEST_LOGIT_SCALE, in_batches, mean_recall, one_caption_per_image

DATASET = "scenes-natural"
EPOCHS, BATCH_SIZE, RATE, WARMUP, WEIGHT_DECAY, SEED = 6, 128, 2e-3, 0.1, 0.05, 0  # warm-up: fraction of all steps

MODEL = {  # sizes in pixels and channels; CLIP's own tokenizer, mean and deviation
    "model_cfg": {
        "embed_dim": 128,
        "vision_cfg": {"image_size": 64, "patch_size": 8, "width": 128, "head_width": 32, "layers": 4},
        "text_cfg": {"width": 128, "heads": 4, "layers": 3},
    },
    "preprocess_cfg": {"mean": open_clip.OPENAI_DATASET_MEAN, "std": open_clip.OPENAI_DATASET_STD},
}


def pretrain(
    folder: str | Path, epochs: int = EPOCHS, data_root: str | Path = "data", runs_root: str | Path = "runs"
) -> dict:
    """Train a CLIP with InfoNCE and write it to ``folder``, in half precision.

    Returns:
        The content of ``pretrain.json``, written last: epochs, the loss of every step, the mean recall (percent) on
        test images of the same domain, parameters, seconds.
    """
    folder, started = resolve(folder), time.perf_counter()
    dataset = default_data.load_or_draw(DATASET, data_root, progress=True)
    model = untrained()
    train, test = (prepare(s, model, resolve(runs_root) / "cache").part(s) for s in (dataset.train, dataset.test))
    total = epochs * math.ceil(len(train.image_rows) / BATCH_SIZE)
    found = list(tqdm(train_steps(model, train, epochs), "pre-training", total, unit="step", mininterval=1))
    weights = {name: tensor.to(torch.float16).contiguous() for name, tensor in model.clip.state_dict().items()}
    write_json(folder / "open_clip_config.json", MODEL)
    write_atomically(folder / "open_clip_model.safetensors", lambda path: save_file(weights, path))
    report = {
        "dataset": DATASET,
        "epochs": epochs,
        "losses": [round(loss, 5) for loss in found],
        "test_mr": mean_recall(attach(backbone.load(str(folder)), "zero_shot"), test),
        "parameters": model.trainable_count(),
        "seconds": time.perf_counter() - started,
    }
    write_json(folder / "pretrain.json", report)
    return report


def untrained() -> AdaptedCLIP:
    """The model before the first step; all of it will be trained, the temperature included."""
    torch.manual_seed(SEED)
    clip = open_clip.CustomTextCLIP(**MODEL["model_cfg"])
    preprocess = open_clip.image_transform(MODEL["model_cfg"]["vision_cfg"]["image_size"], is_train=False)
    return attach(
        backbone.Backbone(clip, preprocess, open_clip.get_tokenizer("ViT-B-32")), "full", train_logit_scale=True
    )


def train_steps(model: AdaptedCLIP, train: PreparedSplit, epochs: int = EPOCHS) -> Iterator[float]:
    """Train step by step, each on one random caption of every image of a batch, and give the loss of each."""
    optimizer = torch.optim.AdamW(model.trainable().values(), weight_decay=WEIGHT_DECAY, betas=(0.9, 0.98), fused=True)
    per_epoch = math.ceil(len(train.image_rows) / BATCH_SIZE)
    for epoch in range(epochs):
        rows_of_epoch = one_caption_per_image(train, np.random.default_rng([SEED, epoch]))
        for step, rows in enumerate(in_batches(rows_of_epoch, BATCH_SIZE), epoch * per_epoch):
            # Linear warm-up, then cosine to zero.
            done = step / (epochs * per_epoch)
            cosine = 0.5 * (1 + math.cos(math.pi * (done - WARMUP) / (1 - WARMUP)))
            for group in optimizer.param_groups:
                group["lr"] = RATE * (done / WARMUP if done < WARMUP else cosine)

            images = embed_images(model, read_images(model, train.inputs, train.image_rows[train.image_of[rows]]))
            texts = embed_texts(model, read_texts(model, train.inputs, train.caption_rows[rows]))
            temperature = 1 / model.clip.logit_scale.exp().clamp(max=LARGEST_LOGIT_SCALE)
            loss = losses.infonce(images, texts, temperature=temperature)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            yield loss.item()
