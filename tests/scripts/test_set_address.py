"""The repository's address is written to three files, which agree, and can be taken out again."""

import runpy
import shutil
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FILES = ["_config.yml", "CITATION.cff", "pyproject.toml"]
set_address = SimpleNamespace(**runpy.run_path(str(ROOT / "scripts" / "set_address.py")))


def addresses(root: Path) -> list[str]:
    """What the three files say."""
    config, citation = (yaml.safe_load((root / name).read_text("utf-8")) for name in FILES[:2])
    project = tomllib.loads((root / FILES[2]).read_text("utf-8"))["project"]
    found = [config["repository"]["url"], citation.get("repository-code", "")]
    return [*found, project.get("urls", {}).get("Source", "")]


def test_the_files_agree():
    assert len(set(addresses(ROOT))) == 1


def test_an_address_is_set_changed_and_taken_out(tmp_path):
    for name in FILES:
        shutil.copy(ROOT / name, tmp_path)
    set_address.set_address(tmp_path, "")
    before = [(tmp_path / name).read_text("utf-8") for name in FILES]
    for given in ("https://github.com/ada/first.git", "https://github.com/ada/second/"):
        set_address.set_address(tmp_path, given)
        assert addresses(tmp_path) == [given.rstrip("/").removesuffix(".git")] * 3
    set_address.set_address(tmp_path, "")
    assert [(tmp_path / name).read_text("utf-8") for name in FILES] == before


def test_all_files_are_changed_or_none(tmp_path):
    for name in FILES:
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / FILES[2]).write_text("no place for an address")
    before = [(tmp_path / name).read_text("utf-8") for name in FILES]
    with pytest.raises(ValueError, match="expected one place"):
        set_address.set_address(tmp_path, "https://github.com/ada/first")
    assert [(tmp_path / name).read_text("utf-8") for name in FILES] == before


@pytest.mark.parametrize(
    "address", ["github.com/ada/cnn", "http://github.com/ada/cnn", "https://github.com/ada", 'https://x.org/a/b"c']
)
def test_what_is_no_address_is_refused(address):
    with pytest.raises(ValueError, match="address"):
        set_address.checked(address)
