"""What stands around the code: workflows, forms, the citation. A typing error there would show nowhere else."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted(path.name for path in (ROOT / ".github" / "workflows").glob("*.yml"))
SCHEMAS = {
    "CITATION.cff": "citation-file-format",
    ".github/ISSUE_TEMPLATE/mistake.yml": "github-issue-forms",
    **{f".github/workflows/{name}": "github-workflows" for name in WORKFLOWS},
}


def check(schema: str, path: Path) -> subprocess.CompletedProcess:
    """Hold a file against a schema that comes with the package check-jsonschema."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", path]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_file_is_valid(name):
    result = check(SCHEMAS[name], ROOT / name)
    assert result.returncode == 0, result.stdout


def test_a_mistake_would_be_found(tmp_path):
    text = (ROOT / ".github" / "workflows" / "tests.yml").read_text("utf-8")
    (tmp_path / "tests.yml").write_text(text.replace("runs-on", "runs_on", 1), "utf-8")
    assert check("github-workflows", tmp_path / "tests.yml").returncode == 1


def jobs() -> dict[str, dict]:
    return {
        f"{name}: {job}": content
        for name in WORKFLOWS
        for job, content in yaml.safe_load((ROOT / ".github" / "workflows" / name).read_text("utf-8"))["jobs"].items()
    }


@pytest.mark.parametrize("name", jobs())
def test_a_workflow_calls_what_there_is(name):
    """Each step has the code before it uses it; targets of make, scripts and folders exist."""
    steps = jobs()[name]["steps"]
    assert steps[0]["uses"].startswith("actions/checkout@")
    targets = re.findall(r"^([\w -]+):(?!=)", (ROOT / "Makefile").read_text("utf-8"), re.M)
    known = {target for line in targets for target in line.split()}
    for command in (step["run"] for step in steps if "run" in step):
        assert set(re.findall(r"\bmake ([\w-]+)", command)) <= known
        paths = re.findall(r"(?<![\w/])(?:tests|scripts|\.ci)/[\w./-]+", command)
        assert [path for path in paths if not (ROOT / path).exists()] == []
        code = subprocess.run(["bash", "-n"], input=command, text=True, capture_output=True, check=False)
        assert code.returncode == 0, code.stderr


def test_hooks_check_what_make_lint_checks():
    (local,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))["repos"]
    assert local["repo"] == "local"
    lint = re.search(r"^lint:.*\n((?:\t.+\n)+)", (ROOT / "Makefile").read_text("utf-8"), re.M)[1]
    for hook in local["hooks"]:
        assert {"id", "name", "entry", "language"} <= set(hook) and hook["language"] == "system"
        words = hook["entry"].removeprefix(".venv/bin/").split()
        assert f"$(BIN)/{' '.join(words[:2])}" in lint


def test_containers_install_the_same_pins():
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text("utf-8"))
    assert container["postCreateCommand"] == "make my-notebooks"
    line = (ROOT / ".binder" / "requirements.txt").read_text("utf-8").strip()
    assert (ROOT / ".binder" / line.removeprefix("--requirement ")).resolve() == ROOT / "requirements.txt"
    assert yaml.safe_load((ROOT / "environment.yml").read_text("utf-8"))["dependencies"][-1] == {
        "pip": ["--requirement requirements.txt"]
    }
    build = (ROOT / ".binder" / "postBuild").read_text("utf-8")
    assert re.search(r"pip install --no-deps --no-build-isolation --editable \.", build)
    assert "python book/_ext/my_notebooks.py\n" in build


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_notebook_says_that_it_is_python(path):
    """All of it, so that nbconvert writes a `.py`, and editors colour it before a kernel runs."""
    language = nbformat.read(path, as_version=4).metadata.language_info
    assert (language.name, language.file_extension, language.nbconvert_exporter) == ("python", ".py", "python")


@pytest.mark.parametrize("path", sorted((ROOT / "tests").rglob("test_*.py")), ids=lambda path: path.stem)
def test_no_parameters_of_a_test_are_a_set(path):
    """Its order changes from process to process, and those that share the tests must agree on it."""
    for call in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "pytest.mark.parametrize":
            values = call.args[1]
            is_set = isinstance(values, ast.Call) and ast.unparse(values.func) in ("set", "frozenset")
            assert not is_set and not isinstance(values, ast.Set | ast.SetComp), f"line {call.lineno}"
