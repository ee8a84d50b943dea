"""What notebooks show beside plain output: the library's own source, and figures that the reader can take in hand."""

import ast
import base64
import html
import inspect
import io
import json
import os
from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Markdown


def show_source(*objects) -> Markdown:
    """Return the source of functions, classes or methods as a highlighted block, without docstrings.

    The chapter has just said what they would say; comments and code are shown as they are.
    """
    blocks = [without_docstrings(inspect.getsource(thing)) for thing in objects]
    return Markdown("```python\n" + "\n\n".join(blocks) + "\n```")


def without_docstrings(source: str) -> str:
    """Return a source without indentation and docstrings; a body that has nothing else becomes `pass`."""
    lines = source.split("\n")
    indentation = lines[0][: len(lines[0]) - len(lines[0].lstrip())]
    lines = [line.removeprefix(indentation) for line in lines]
    documented = [node for node in ast.walk(ast.parse("\n".join(lines))) if has_docstring(node)]
    documented.sort(key=lambda node: node.lineno, reverse=True)  # the last first: the lines above it keep their numbers
    for node in documented:
        docstring = node.body[0]
        first, last = docstring.lineno - 1, docstring.end_lineno
        before = lines[first].encode()[: docstring.col_offset].decode()  # ast counts bytes
        after = lines[last - 1].encode()[docstring.end_col_offset :].decode().lstrip("; ")
        if len(node.body) == 1:
            lines[first:last] = [f"{before}pass  {after}".rstrip()]
        elif before.strip() or after:
            lines[first:last] = [before + after]
        else:
            while not lines[last].strip():
                last += 1
            del lines[first:last]
    return "\n".join(lines).rstrip()


def has_docstring(node: ast.AST) -> bool:
    """Say whether this is a class or a function with a docstring."""
    return (
        isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
        and isinstance(node.body[0], ast.Expr)
        and isinstance(node.body[0].value, ast.Constant)
        and isinstance(node.body[0].value.value, str)
    )


class LiveFigure:
    """A figure that the reader can take in hand, in the built page and in a notebook: see `live_figure`."""

    def __init__(
        self, name: str, data: dict | None, alt: str, still: Callable[[], object] | None, height: tuple[int, int]
    ):
        if not (static_folder() / "figures" / f"{name}.js").exists():
            raise FileNotFoundError(f"there is no figure {name!r} in {static_folder() / 'figures'}")
        self.name, self.data, self.alt, self.height = name, data, alt, height
        self.picture = "" if still is None else picture_of(still)

    def __repr__(self) -> str:
        return f"Live figure: {self.alt}"

    def _repr_html_(self) -> str:
        return self.markup() if os.environ.get("CNNBOOK_PAGE") else self.frame()

    def markup(self) -> str:
        """Return what a page of the book contains: `book/_ext/live_figures.py` adds the scripts."""
        data = json.dumps(self.data, separators=(",", ":"), default=plain).replace("</", "<\\/")
        alt, (wide, narrow) = html.escape(self.alt), self.height
        image = f'<img alt="{alt}" src="data:image/png;base64,{self.picture}">' if self.picture else ""
        return (
            f'<figure class="live-figure" data-figure="{self.name}" aria-label="{alt}"'
            f' style="--lf-height: {wide}px; --lf-height-phone: {narrow}px">'
            f'<noscript class="lf-still">{image}<p>{alt}</p></noscript>'
            f'<script type="application/json">{data}</script></figure>'
        )

    def frame(self) -> str:
        """Return the same for a running notebook: a page of its own, with all scripts in it."""
        files = [static_folder() / f"{script}.js" for script in scripts_of(self.name)]
        sources = [path.read_text("utf-8").replace("</", "<\\/") for path in files]
        scripts = "".join(f"<script>{source}</script>" for source in sources)
        style = (static_folder() / "live-figure.css").read_text("utf-8")
        page = (
            f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(self.alt)}</title>'
            f"<style>{FRAME_STYLE}{style}</style><script>{FRAME_SCRIPT}</script>"
            f"<main>{self.markup()}</main>{scripts}"
        )
        return (
            f'<iframe title="{html.escape(self.alt)}" srcdoc="{html.escape(page)}"'
            f' style="border: 0; width: 100%; height: {self.height[0] + 60}px"></iframe>'
        )


# In a notebook a figure has a page of its own, without the book's theme: its colours are those of JupyterLab where it
# says which, else those of the system; and the frame is as high as what it shows, where it may say so.
FRAME_STYLE = """
html { --pst-color-text-base: #14181e; --pst-color-text-muted: #48566b; --pst-color-border: #c9c9c9;
  --pst-color-primary: #1260cc; --pst-color-surface: #f5f5f5; --pst-color-background: #fff; color-scheme: light;
  background: var(--pst-color-background); color: var(--pst-color-text-base); font: 16px/1.6 sans-serif; }
html[data-theme="dark"] { --pst-color-text-base: #ced6dd; --pst-color-text-muted: #9ca4af; --pst-color-border: #48566b;
  --pst-color-primary: #79abef; --pst-color-surface: #29313d; --pst-color-background: #121212; color-scheme: dark; }
body { margin: 0; padding: 1px; }
body .live-figure { margin: 0; }
"""
FRAME_SCRIPT = """
(() => {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const outside = () => { try { return parent.document.body; } catch { return document.body; } };
  const choose = () => {
    const light = outside()?.dataset.jpThemeLight;
    document.documentElement.dataset.theme = (light ? light === "false" : dark.matches) ? "dark" : "light";
  };
  choose();
  dark.addEventListener("change", choose);
  if (outside()) new MutationObserver(choose).observe(outside(), { attributeFilter: ["data-jp-theme-light"] });
  addEventListener("load", () => new ResizeObserver(() => {
    try { frameElement.style.height = `${document.body.offsetHeight + 1}px`; } catch { /* it stays as it is */ }
  }).observe(document.body));
})();
"""


def live_figure(
    name: str,
    data: dict | None = None,
    *,
    alt: str,
    still: Callable[[], object] | None = None,
    height: tuple[int, int] = (400, 600),
) -> LiveFigure:
    """Show a figure of `book/_static/figures/`, which computes in the page, by the engine `book/_static/cnnlib.js`.

    Parameters
    ----------
    name : str
        The file's name, without ``.js``.
    data : dict, optional
        What the figure starts with: numbers, lists, NumPy arrays, texts. It comes from `cnnlib`.
    alt : str
        What the figure shows, for those who do not see it, or have no JavaScript.
    still : callable, optional
        Draws, with Matplotlib, the picture for those who have no JavaScript.
    height : tuple of int
        The pixels that the figure needs on a wide screen and on a phone, kept free so that nothing moves.
    """
    return LiveFigure(name, data or {}, alt, still, height)


def scripts_of(name: str) -> list[str]:
    """Return the scripts that a figure needs, in the order of loading: names of files, without ``.js``."""
    source = (static_folder() / "figures" / f"{name}.js").read_text("utf-8")
    digits = ["digits"] if "cnnlib.digits" in source else []
    return ["cnnlib", *digits, "live-figure", f"figures/{name}"]


def static_folder() -> Path:
    """Return the folder of the pages' scripts: in the repository beside this package, where it is installed within."""
    beside = Path(__file__).resolve().parents[1] / "_static"
    return beside if (beside / "figures").exists() else Path(__file__).resolve().parent / "static"


def picture_of(draw: Callable[[], object]) -> str:
    """Return what a function draws with Matplotlib as a PNG in base64."""
    before = set(plt.get_fignums())
    draw()
    stream = io.BytesIO()
    plt.savefig(stream, format="png", dpi=80, metadata={"Software": None})
    for number in set(plt.get_fignums()) - before:
        plt.close(number)
    return base64.b64encode(stream.getvalue()).decode()


def plain(value) -> object:
    """Return a NumPy array or number as JSON has it; floats with seven digits, more than a figure shows."""
    if isinstance(value, np.ndarray):
        return [plain(part) for part in value] if value.ndim else plain(value[()])
    if isinstance(value, np.floating):
        return float(f"{value:.7g}")
    if isinstance(value, np.integer | np.bool_):
        return value.item()
    raise TypeError(f"{value!r} cannot be part of a figure's data")
