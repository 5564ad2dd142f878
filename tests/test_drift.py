import pytest
import torch
from queued_pairs import WIDTH, dot, oldest_first, pairs_of
from torch.nn.functional import normalize

from petl_core.recycling import DRIFT_COLUMNS, Pairs, Queue, drift


def trained_with(world, steps, size=40):
    """A queue filled from ``world``, embeddings by id that move a little at each step, and the final ones."""
    queue = Queue(size, WIDTH)
    images, texts = world.images, world.texts
    generator = torch.Generator().manual_seed(5)
    for step in range(steps):
        ids = torch.randint(len(images), (7,), generator=generator)
        moved = normalize(images + 0.1 * step * torch.ones(WIDTH), dim=-1)
        queue.enqueue(Pairs(moved[ids], texts[ids], ids, ids))
    return queue, moved, texts


def test_drift_is_one_for_an_unchanged_encoder_and_grows_with_age_for_a_changing_one():
    queue, images, texts = trained_with(pairs_of(30, 3), steps=9)
    table = drift(queue, lambda ids: images[ids], lambda ids: texts[ids])
    assert table.columns.tolist() == DRIFT_COLUMNS
    text, image = (table[table["modality"] == name] for name in ("text", "image"))
    assert text["cosine"].to_numpy() == pytest.approx(1)
    assert image["cosine"].is_monotonic_decreasing
    assert image["cosine"].iloc[-1] < 0.98
    for half in (text, image):
        assert half["age_from"].tolist() == [1, 2, 4]
        assert half["age_to"].tolist() == [1, 3, 7]
        assert half["count"].tolist() == [7, 14, 19]  # 40 entries are 5 batches of 7, and 5 pairs of a sixth


def test_drift_encodes_each_distinct_id_once_and_no_more_entries_than_asked():
    queue, images, texts = trained_with(pairs_of(6, 3), steps=9)
    asked = []

    def encode(ids):
        asked.append(ids)
        return images[ids]

    table = drift(queue, encode, lambda ids: texts[ids], limit=10)
    assert len(asked) == 1 and len(asked[0].unique()) == len(asked[0]) <= 6
    assert table.groupby("modality")["count"].sum().tolist() == [10, 10]
    assert table["age_from"].tolist() == [1, 2, 4] * 2


def test_drift_matches_a_loop_over_the_entries():
    queue, images, _ = trained_with(pairs_of(30, 3), steps=4, size=20)
    table = drift(queue, lambda ids: images[ids], lambda ids: images[ids])
    for row in table[table["modality"] == "image"].itertuples():
        cosines = [
            dot(stored, images[i].tolist())
            for stored, _, i, _, stored_at in oldest_first(queue)
            if row.age_from <= queue.steps - stored_at <= row.age_to
        ]
        assert (len(cosines), sum(cosines) / len(cosines)) == (row.count, pytest.approx(row.cosine, abs=1e-6))


def test_an_empty_queue_has_no_drift():
    table = drift(Queue(3, WIDTH), pytest.fail, pytest.fail)
    assert table.empty and table.columns.tolist() == DRIFT_COLUMNS
