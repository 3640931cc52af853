"""References to Python objects, and arguments typed after a question mark."""

import sys
from pathlib import Path

import pytest

from qdiag.errors import ConfigError, LoadError
from qdiag.loaders.python_ref import is_python_ref, load_object, parse_query


def test_a_name_in_a_module() -> None:
    assert load_object("os.path:join") is __import__("os").path.join
    assert load_object("pathlib:Path.home") == Path.home


def test_a_name_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text("class Net:\n    size = 3\ndef make(): return Net()\n")
    reference = f"{tmp_path}/net.py"
    assert load_object(f"{reference}:Net.size") == 3
    made = load_object(f"{reference}:make")
    assert callable(made)
    assert isinstance(made(), load_object(f"{reference}:Net"))  # type: ignore[arg-type]


def test_a_file_relative_to_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here.py").write_text("value = 'here'\n")
    monkeypatch.chdir(tmp_path)
    assert load_object("./here.py:value") == load_object("here.py:value") == load_object("here:value") == "here"


def test_the_path_is_as_before_and_neighbours_can_be_imported(tmp_path: Path) -> None:
    (tmp_path / "neighbour_of_net.py").write_text("value = 5\n")
    (tmp_path / "net.py").write_text("from neighbour_of_net import value\n")
    before = list(sys.path)
    assert load_object(f"{tmp_path}/net.py:value") == 5
    assert sys.path == before


def test_files_and_neighbours_of_one_name_do_not_meet(tmp_path: Path) -> None:
    for folder, value in (("a", 1), ("b", 2), ("c", 3)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "same_utils.py").write_text(f"value = {value}\n")
        (tmp_path / folder / "net.py").write_text("import same_utils\nvalue = same_utils.value\n")
    found = [load_object(f"{tmp_path}/{folder}/net.py:value") for folder in ("a", "b", "c", "a")]
    assert found == [1, 2, 3, 1]


def test_a_file_is_run_once(tmp_path: Path) -> None:
    counter = tmp_path / "runs"
    (tmp_path / "net.py").write_text(
        f"open({str(counter)!r}, 'a').close()\nfile = open({str(counter)!r}, 'a')\nfile.write('x')\nfile.close()\n"
        "first = second = 1\n"
    )
    load_object(f"{tmp_path}/net.py:first")
    load_object(f"{tmp_path}/net.py:second")
    assert counter.read_text() == "x"


def test_a_missing_name_gives_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text("def make_network(): ...\n")
    with pytest.raises(LoadError, match="no 'make_netwrk' in it") as caught:
        load_object(f"{tmp_path}/net.py:make_netwrk")
    assert caught.value.hint == "did you mean make_network?"
    with pytest.raises(LoadError) as caught:
        load_object(f"{tmp_path}/net.py:zzz")
    assert caught.value.hint == "it defines make_network"


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("raise ValueError('bad luck')", r"bad luck \(ValueError, line 1 of net.py\)"),
        ("import no_such_module_anywhere", "no_such_module_anywhere"),
        ("def broken(:", "SyntaxError"),
        ("import sys\nsys.exit(3)", "SystemExit"),
    ],
)
def test_code_that_fails_is_an_error_of_ours_and_leaves_no_trace(tmp_path: Path, code: str, message: str) -> None:
    (tmp_path / "net.py").write_text(code)
    modules, path = set(sys.modules), list(sys.path)
    with pytest.raises(LoadError, match=message):
        load_object(f"{tmp_path}/net.py:make")
    assert not {name for name in set(sys.modules) - modules if name.startswith("qdiag_user")}
    assert sys.path == path


def test_missing_files_and_modules() -> None:
    with pytest.raises(LoadError, match="no such Python file"):
        load_object("./nowhere.py:make")
    with pytest.raises(LoadError, match="no Python module 'nowhere_at_all'"):
        load_object("nowhere_at_all.net:make")


@pytest.mark.parametrize("reference", ["", "make", "net.py", ":make", "net.py:", "a b:make", "net.py:make()", "a-b:c"])
def test_other_forms_are_refused(reference: str) -> None:
    assert not is_python_ref(reference)
    with pytest.raises(ConfigError):
        load_object(reference)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mobilenet_v1", ("mobilenet_v1", {})),
        ("net?width=0.75&bn=false", ("net", {"width": 0.75, "bn": False})),
        ("net?depth=-20&act=relu6&on=True", ("net", {"depth": -20, "act": "relu6", "on": True})),
        ("net?text=a%26b&rate=1e-3&list=[1]", ("net", {"text": "a&b", "rate": 1e-3, "list": "[1]"})),
        ("net?empty=", ("net", {"empty": ""})),
        ("net?sum=a=b", ("net", {"sum": "a=b"})),
    ],
)
def test_arguments_are_read_as_what_they_look_like(text: str, expected: tuple[str, dict[str, object]]) -> None:
    name, arguments = parse_query(text)
    assert (name, arguments) == expected
    assert [type(value) for value in arguments.values()] == [type(value) for value in expected[1].values()]


@pytest.mark.parametrize("text", ["net?", "net?width", "net?=3", "net?a b=3", "net?a=1&a=2", "net?a=1&"])
def test_malformed_arguments_are_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_query(text)
