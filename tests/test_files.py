import errno

import pytest

from petl_core.files import read_json, write_atomically, write_json


def test_what_is_written_is_read(tmp_path):
    path = write_json(tmp_path / "new" / "a.json", {"b": [1, 2.5, None]})
    assert read_json(path) == {"b": [1, 2.5, None]}
    assert [p.name for p in path.parent.iterdir()] == ["a.json"]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = write_json(tmp_path / "a.json", 1)

    def fail(temporary):
        temporary.write_text("half")
        raise error

    with pytest.raises(type(error)) as caught:
        write_atomically(path, fail)
    if isinstance(error, OSError):
        assert str(path) in str(caught.value) and "No space left" in str(caught.value)
    assert read_json(path) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_broken_json_is_named_with_its_line(tmp_path):
    path = tmp_path / "metrics.json"
    path.write_text('{\n "a": }\n')
    with pytest.raises(ValueError, match=r"metrics.json, line 2: .*remove it"):
        read_json(path)


def test_nan_is_refused(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", float("nan"))
