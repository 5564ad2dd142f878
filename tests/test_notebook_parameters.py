import pytest

from petl_core.errors import ConfigError
from petl_core.files import ROOT, resolve
from petl_core.parameters import check_parameters


def notebook(**extra) -> dict:
    """A notebook's namespace after its parameters cell."""
    annotations = {"epochs": int, "rate": float, "name": str, "flag": bool, "options": dict, "seeds": list}
    values = {"epochs": 3, "rate": 1, "name": "a", "flag": False, "options": {}, "seeds": [1]}
    return {
        "__annotations__": annotations,
        "__name__": "__main__",
        "In": [],
        "get_ipython": None,
        "_": 1,
        **values,
        **extra,
    }


def test_declared_parameters_come_back_with_integers_as_floats():
    values = check_parameters(notebook())
    assert values["rate"] == 1.0 and type(values["rate"]) is float
    assert set(values) == {"epochs", "rate", "name", "flag", "options", "seeds"}


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"epoch": 5}, "unknown epoch; known: epochs"),
        ({"epochs": "5"}, "epochs = '5' is str, but must be int"),
        ({"epochs": True}, "epochs = True is bool"),
        ({"flag": 1}, "flag = 1 is int, but must be bool"),
        ({"rate": "fast"}, "rate = 'fast' is str"),
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


def test_relative_paths_start_at_the_project():
    assert resolve("data") == ROOT / "data"
    assert resolve("/elsewhere").as_posix() == "/elsewhere"
