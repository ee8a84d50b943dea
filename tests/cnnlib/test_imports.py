"""The layout holds: imports go one way, in no circle, and `import cnnlib` loads nothing heavy."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import cnnlib

ROOT = Path(__file__).parents[2]
# Each may import only what stands before it (a package counts as one; its modules are looked at below).
ORDER = [
    "blas",
    "checks",
    "config",
    "devices",
    "initializers",
    "layers",
    "losses",
    "optimizers",
    "schedules",
    "files",
    "saving",
    "callbacks",
    "training",
    "network",
    "gradient_check",
    "data_parallel",
    "onnx_export",
    "digits",
    "plots",
    "__init__",
    "__main__",
]
WITHIN = {
    "layers": [
        "layer",
        "dense",
        "activations",
        "convolution",
        "pooling",
        "batch_normalization",
        "dropout",
        "upsampling",
        "transposed_convolution",
        "flatten",
        "fused_convolution",
        "loops",
        "__init__",
    ],
    "digits": [
        "idx",
        "download",
        "pictures",
        "mnist_frame",
        "datasets",
        "strokes",
        "augmentation",
        "sample_drawings",
        "scenes",
        "detection",
        "models",
        "confidence",
        "reading",
        "own_data",
        "fine_tuning",
        "pad",
        "__init__",
    ],
}
SCREEN = {"matplotlib", "ipywidgets", "ipycanvas", "IPython", "tkinter"}


def imports(path):
    """Yield the dotted name of every module that a file imports, inside of functions, too."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            module = node.module
            for alias in node.names:
                inner = (ROOT / Path(*module.split("."))) / f"{alias.name}.py"
                yield f"{module}.{alias.name}" if inner.exists() else module


def library():
    paths = sorted((ROOT / "cnnlib").rglob("*.py"))
    return [pytest.param(path, path.relative_to(ROOT / "cnnlib").with_suffix("").parts, id=path.stem) for path in paths]


every_module = pytest.mark.parametrize(("path", "parts"), library())


@every_module
def test_only_some_know_of_a_screen(path, parts):
    if parts[0] not in ("plots", "__main__") and parts[-1] != "pad":
        assert not SCREEN & {name.split(".")[0] for name in imports(path)}


@every_module
def test_only_the_command_line_imports_mpi(path, parts):
    assert ("mpi4py" in {name.split(".")[0] for name in imports(path)}) == (parts == ("__main__",))


def test_importing_is_quiet_and_light():
    """A slow import would be felt in every notebook. (`scripts/measure_import.py` says how long it takes.)"""
    heavy = "matplotlib PIL pooch requests tqdm ipywidgets ipycanvas IPython click threadpoolctl mpi4py cnnlib.digits"
    code = f"import sys, cnnlib; print([m for m in {heavy.split()} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]" and result.stderr == ""


def test_the_public_names_are_there():
    assert len(set(cnnlib.__all__)) == len(cnnlib.__all__) and set(cnnlib.__all__) <= set(dir(cnnlib))
    for name in cnnlib.__all__:
        assert getattr(cnnlib, name) is not None
    with pytest.raises(AttributeError, match="module 'cnnlib' has no attribute 'Denes'"):
        cnnlib.Denes  # noqa: B018


def test_the_table_of_layers_is_what_is_public():
    public = {name for name in cnnlib.__all__ if isinstance(getattr(cnnlib, name), type)}
    layers = {name for name in public if issubclass(getattr(cnnlib, name), cnnlib.Layer)}
    from cnnlib.layers import LAYERS

    assert layers - {"Layer", "Network"} == set(LAYERS)
