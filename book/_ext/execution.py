"""Execute the notebooks before Sphinx reads them: several at a time, and again whenever their outputs could change.

Sphinx and MyST-NB execute one notebook after the other, and know only the notebook: after a change in `cnnlib` or
`cnnbook` they would show the outputs of the older code. Here every notebook is executed unless its outputs are known
for exactly these code cells, these two packages, these versions of all others and this data. Sphinx then gets the
notebook with its outputs filled in, so that MyST-NB itself executes nothing (``execute_notebooks: "off"``).
"""

import hashlib
import json
import os
import platform
import sys
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.output_widget import OutputWidget
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.errors import ExtensionError

SECONDS_PER_CELL = 300
AT_A_TIME = min(os.cpu_count() or 1, 4)  # more would cost memory: the training chapter needs about 1 GB
ENVIRONMENT = {
    "CNNBOOK_PAGE": "1",  # live figures are parts of the page, and need not bring their scripts along
    "TQDM_DISABLE": "1",  # a progress bar is for watching, not for a page
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",  # figures in the page, whatever the user's default is
    # Sums run in the same order whatever the number of cores, so that a page shows the same digits; and notebooks that
    # run side by side do not compete for cores.
    "OPENBLAS_NUM_THREADS": "1",
}

LANGUAGE = {  # what a kernel would say, less its version; nbconvert needs it to write a script
    "codemirror_mode": {"name": "ipython", "version": 3},
    "file_extension": ".py",
    "mimetype": "text/x-python",
    "name": "python",
    "nbconvert_exporter": "python",
    "pygments_lexer": "ipython3",
}


def state(root: Path) -> str:
    """Describe everything that a notebook's outputs depend on, apart from its own code."""
    digest = hashlib.sha256(f"{sys.version} {platform.machine()} {data_in_use()}".encode())
    code = [
        path
        for package in ("cnnlib", "book/cnnbook")
        for path in (root / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    ]
    pins = root / "requirements.txt"
    for path in [*sorted(code), *([pins] if pins.exists() else [])]:
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def data_in_use() -> str:
    """Fetch and prepare MNIST once, before several notebooks would do it at the same time, and say what came of it."""
    from cnnlib.digits.datasets import load_mnist  # here, since setup() makes it importable

    return load_mnist(fallback=True).name


def key(notebook: nbformat.NotebookNode, state: str) -> str:
    cells = [(cell.source, cell.metadata.get("tags")) for cell in code_cells(notebook)]
    return hashlib.sha256(json.dumps([state, cells]).encode()).hexdigest()


def code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


class SilentOutput(OutputWidget):
    """What an `interact` draws into. It does not report back to the kernel what it has received.

    No notebook asks for that; and the message, sent while the client waits for the kernel's reply on the same socket,
    now and then makes it miss the reply and wait until the cell's time is up.
    """

    def sync_state(self) -> None:
        pass


def execute(path: Path) -> nbformat.NotebookNode:
    """Return the notebook with new outputs."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=SECONDS_PER_CELL,
        resources={"metadata": {"path": str(path.parent)}},
        extra_arguments=["--IPKernelApp.log_level=40"],  # errors; each kernel would warn that it talks over TCP
    )
    client.widget_registry = {"@jupyter-widgets/output": {"OutputModel": SilentOutput}}
    client.execute()
    for widget in client.comm_objects.values():
        for output in widget.outputs:  # an error in there stops no cell, and would be seen by nobody
            if output.output_type == "error" or output.get("name") == "stderr":
                what = output.get("text") or f"{output.ename}: {output.evalue}"
                raise ExtensionError(f"a function with sliders failed: {what}")
    for cell in code_cells(notebook):
        cell.outputs = merge_streams(without_controls(cell.outputs))
    return notebook


def without_controls(outputs: list[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    """Leave out sliders and the like, which are dead without a kernel: they appear when a reader runs the cell."""
    return [output for output in outputs if "application/vnd.jupyter.widget-view+json" not in output.get("data", {})]


def merge_streams(outputs: list[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    """Join what a cell prints; in how many pieces the kernel sends it is chance."""
    merged: list[nbformat.NotebookNode] = []
    for output in outputs:
        if merged and output.output_type == "stream" == merged[-1].output_type and output.name == merged[-1].name:
            merged[-1].text += output.text
        else:
            merged.append(output)
    return merged


def execute_notebooks(app: Sphinx, env: BuildEnvironment, docnames: list[str]) -> None:
    """Find or compute the outputs of every notebook that Sphinx is about to read."""
    paths = {name: Path(env.doc2path(name)) for name in sorted(docnames)}
    notebooks = {name: nbformat.read(path, as_version=4) for name, path in paths.items() if path.suffix == ".ipynb"}
    if not notebooks:
        return
    now = state(Path(app.srcdir))
    failures = []
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        running: dict[Future, str] = {}
        for name, notebook in notebooks.items():
            if stored(app, name).get("key") != key(notebook, now):
                running[pool.submit(execute, paths[name])] = name
        for count, future in enumerate(as_completed(running), start=1):
            name = running[future]
            if error := future.exception():
                failures.append(f"{name}\n\n{error}")
            else:
                outputs = [cell.outputs for cell in code_cells(future.result())]
                store(app, name, {"key": key(notebooks[name], now), "outputs": outputs})
            print(f"executed {name} ({count} of {len(running)})", flush=True)  # also in a quiet build: it takes minutes
    if failures:
        raise ExtensionError("\n\n".join([f"{len(failures)} of {len(notebooks)} notebooks failed.", *failures]))


def fill_in(app: Sphinx, docname: str, source: list[str]) -> None:
    """Give Sphinx the notebook with its outputs."""
    if Path(app.env.doc2path(docname)).suffix != ".ipynb":
        return
    notebook = nbformat.reads(source[0], as_version=4)
    notebook.metadata.language_info = LANGUAGE
    for cell, outputs in zip(code_cells(notebook), stored(app, docname)["outputs"], strict=True):
        cell.outputs = [nbformat.from_dict(output) for output in outputs]
        cell.source = cell.source.removeprefix("%%solution\n")  # which is for those who run the notebook: see cnnbook
    source[0] = nbformat.writes(notebook)


def store_path(app: Sphinx, docname: str) -> Path:
    return Path(app.outdir).parent / "executed" / f"{docname}.json"


def stored(app: Sphinx, docname: str) -> dict:
    path = store_path(app, docname)
    return json.loads(path.read_text("utf-8")) if path.exists() else {}


def store(app: Sphinx, docname: str, content: dict) -> None:
    path = store_path(app, docname)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")  # a build that is stopped here leaves no half file behind
    part.write_text(json.dumps(content), "utf-8")
    part.replace(path)


def prepare_environment(root: Path) -> None:
    """Let notebooks run on `cnnlib` and `cnnbook` as they are here, installed or not, and as ENVIRONMENT says."""
    folders = [str(root), str(root / "book")]
    sys.path[:0] = folders
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [*folders, os.environ.get("PYTHONPATH")]))
    os.environ.update(ENVIRONMENT)


def setup(app: Sphinx) -> dict[str, bool]:
    prepare_environment(Path(app.srcdir))
    app.connect("env-before-read-docs", execute_notebooks)
    app.connect("source-read", fill_in)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def canonical(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Leave only what matters in a notebook's metadata, so that a change in git is a change of the content.

    The cells of a solution are folded away in JupyterLab, as they are in the book.
    """
    notebook = nbformat.from_dict(notebook)
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    notebook.metadata = nbformat.from_dict({"kernelspec": kernel, "language_info": LANGUAGE})
    in_solution = False
    for cell in notebook.cells:
        kept = {k: v for k, v in cell.metadata.items() if k in ("mystnb", "tags")}
        starts, ends = cell.source.rfind("{solution-start}"), cell.source.rfind("{solution-end}")
        if cell.cell_type == "code" and in_solution:
            kept["jupyter"] = {"outputs_hidden": True, "source_hidden": True}
        elif in_solution and starts == ends == -1:
            kept["jupyter"] = {"source_hidden": True}
        elif cell.cell_type == "markdown":
            in_solution = starts > ends
        cell.metadata = nbformat.from_dict(kept)
    return notebook


def main(paths: list[str]) -> None:
    """Execute notebooks and store them with their outputs."""
    prepare_environment(Path(__file__).resolve().parents[2])
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        for path, notebook in zip(paths, pool.map(execute, [Path(path).resolve() for path in paths]), strict=True):
            part = Path(path).with_suffix(".part")
            nbformat.write(canonical(notebook), part)
            part.replace(path)
            print(f"stored {path}")


if __name__ == "__main__":
    main(sys.argv[1:])
