"""How long a text query takes: encoding the text, and the exact search of random embeddings on disk.

    python benchmarks/search_time.py                      # the default backbone, and ViT-B/32 with random weights
    python benchmarks/search_time.py --rows 10000 --queries 100
    python benchmarks/search_time.py --csv times.csv      # the table as a file, too

Milliseconds are those of this machine; another machine's cannot be compared with them. The default backbone is
pre-trained first if it does not exist yet (minutes).
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import IO

import numpy as np
import pandas as pd
import torch
from petl_core.training.encoding import embed_captions

from petl_core import adapters, backbone
from petl_core.data.default_data import load_or_draw
from petl_core.search import models
from petl_core.search.gallery import nearest

CHUNK = 50_000  # rows drawn at once
WARMUP_QUERIES = 3  # which do not count
HITS = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 1_000_000], help="default: %(default)s")
    parser.add_argument("--queries", type=int, default=30, help="default: %(default)s")
    parser.add_argument("--threads", type=int, default=2, help="default: %(default)s")
    parser.add_argument("--csv", type=Path, help="also write the table there")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    captions = load_or_draw("scenes-tiny").test.captions
    queries = [captions[i % len(captions)] for i in range(WARMUP_QUERIES + args.queries)]

    rows = []
    for title, model in searched_models().items():
        width = embed_captions(model, queries[:1]).shape[1]
        for count in args.rows:
            with tempfile.TemporaryFile() as file:
                rows.append(
                    {"model": title, "rows": count, "d": width} | times(model, on_disk(file, count, width), queries)
                )
    table = pd.DataFrame(rows)
    print(f"Milliseconds per query, {args.queries} queries, {args.threads} threads, {HITS} hits")
    print(table.to_string(index=False, float_format="{:.1f}".format))
    if args.csv:
        table.to_csv(args.csv, index=False)


def searched_models() -> dict[str, adapters.AdaptedCLIP]:
    """A small model and one of usual size; the values of their weights do not change the time."""
    torch.manual_seed(0)
    frozen = backbone.load("ViT-B-32", device="cpu")
    return {
        "embedded": models.zero_shot("embedded", device="cpu"),
        "ViT-B-32, random weights": adapters.attach(frozen, "zero_shot").eval(),
    }


def on_disk(file: IO[bytes], count: int, width: int) -> np.ndarray:
    """(count, width) random directions in a file, memory-mapped as an index is."""
    generator = np.random.default_rng(0)
    for start in range(0, count, CHUNK):
        chunk = generator.standard_normal((min(CHUNK, count - start), width), dtype=np.float32)
        file.write((chunk / np.linalg.norm(chunk, axis=1, keepdims=True)).tobytes())
    file.flush()
    return np.memmap(file, np.float32, mode="c", shape=(count, width))


def times(model: adapters.AdaptedCLIP, embeddings: np.ndarray, queries: list[str]) -> dict[str, float]:
    """Milliseconds per query: median and 95th percentile; medians of its two steps and of its processor time."""
    spent = []
    for query in queries:
        started, processor = time.perf_counter(), time.process_time()
        vector = embed_captions(model, [query])[0]
        encoded = time.perf_counter()
        nearest(embeddings, vector, HITS)
        ended = time.perf_counter()
        spent.append((ended - started, encoded - started, ended - encoded, time.process_time() - processor))
    whole, encoding, searching, processor = 1000 * np.array(spent)[WARMUP_QUERIES:].T
    return {
        "median": np.median(whole),
        "p95": np.percentile(whole, 95),
        "encoding": np.median(encoding),
        "searching": np.median(searching),
        "processor": np.median(processor),
    }


if __name__ == "__main__":
    main()
