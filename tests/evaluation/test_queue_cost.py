import pytest

from petl_core.errors import ConfigError
from petl_core.evaluation.queue_cost import measure_queue_costs, readable_queue_costs


def test_a_queue_costs_its_entries():
    frame = measure_queue_costs([16, 64], batch_size=4, width=8, steps=2)
    ids, embeddings, similarities = 3 * 8, 2 * 8 * 4, 2 * 4 * 4  # bytes per entry
    assert (frame["stored_mib"] * 2**20).tolist() == [size * (ids + embeddings) for size in (16, 64)]
    # Per entry a copy is saved, its similarity to every anchor, and whether it is masked; the rest are constants.
    growth = (frame["activation_mib"].diff()[1] * 2**20) / (64 - 16)
    assert embeddings + similarities <= growth <= embeddings + 3 * similarities
    assert (frame["seconds_low"] <= frame["seconds"]).all() and (frame["seconds"] <= frame["seconds_high"]).all()
    assert readable_queue_costs(frame)["Queue size"].tolist() == ["16", "64"]


@pytest.mark.parametrize("arguments", [{"sizes": []}, {"sizes": [0]}, {"sizes": [4], "steps": 0}])
def test_a_measurement_of_nothing_is_an_error(arguments):
    with pytest.raises(ConfigError, match="at least 1"):
        measure_queue_costs(**arguments)
