"""Parameters of notebooks, against what their cell declares."""

import json

import pytest

from petl_core.errors import ConfigError
from petl_core.parameters import check_parameters


def notebook(**extra) -> dict:
    """A notebook's namespace after its parameters cell."""
    declared = {"epochs": int, "rate": float, "name": str, "flag": bool, "options": dict, "seeds": list[int]}
    values = {"epochs": 3, "rate": 1, "name": "a", "flag": False, "options": {}, "seeds": [1]}
    of_ipython = {"__name__": "__main__", "In": [], "get_ipython": None, "_": 1, "json": json}
    return {"__annotations__": declared, **of_ipython, **values, **extra}


def test_declared_parameters_come_back_with_integers_as_floats():
    values = check_parameters(notebook())
    assert values == {"epochs": 3, "rate": 1.0, "name": "a", "flag": False, "options": {}, "seeds": [1]}
    assert type(values["rate"]) is float


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"epoch": 5}, "notebook parameters: unknown epoch; known: epochs"),
        ({"epochs": "5"}, "epochs = '5' is str, but must be int"),
        ({"epochs": True}, "epochs = True is bool"),
        ({"flag": 1}, "flag = 1 is int, but must be bool"),
        ({"rate": "fast"}, "rate = 'fast' is str"),
        ({"seeds": {}}, "seeds = {} is dict, but must be list"),
        ({"__annotations__": {"epochs": set}}, "parameters cell: epochs must be annotated with a JSON type"),
    ],
)
def test_bad_parameters_are_refused_by_name(extra, message):
    with pytest.raises(ConfigError, match=message):
        check_parameters(notebook(**extra))


def test_a_cell_may_be_run_again_after_the_notebook_has_variables():
    namespace = notebook()
    check_parameters(namespace)
    namespace["later"] = 1
    check_parameters(namespace)
    namespace["epochs"] = "x"
    with pytest.raises(ConfigError, match="epochs"):
        check_parameters(namespace)
