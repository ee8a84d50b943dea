"""An admonition of the class ``digit-pad``: a pad to draw on that works in the built page, without kernel or network.

The page gets book/_static/digit-pad.js, digits.js, which rasterises as `cnnlib` does, the engine, which predicts as
`cnnlib` does, and the weights of the network that comes with the package, written when the book is built. They are a
script too, since a page that is opened from the disk may load scripts, but not data. Where there is no such page (in
JupyterLab, in a PDF, without JavaScript) the admonition stands. With the class ``small`` as well, the pad is small, and
shows the answer only.
"""

import json
from pathlib import Path

from docutils import nodes
from engine import ENGINE, describe
from sphinx.application import Sphinx

NETWORK = "digit-pad-network.js"


class digit_pad(nodes.General, nodes.Element):
    """Where the pad is; its children are what stands there if it does not work."""


def make_pads(app: Sphinx, doctree: nodes.document) -> None:
    """Put a pad where such an admonition is, without its title."""
    for admonition in list(doctree.findall(nodes.admonition)):
        if "digit-pad" in admonition["classes"]:
            content = [child for child in admonition.children if not isinstance(child, nodes.title)]
            size = [name for name in admonition["classes"] if name == "small"]
            admonition.replace_self(digit_pad("", *content, classes=size))


def visit_html(translator, node: digit_pad) -> None:
    classes = " ".join(["digit-pad", *node["classes"]])
    translator.body.append(f'<div class="{classes}" role="group" aria-label="Draw a digit"><noscript>')


def depart_html(translator, node: digit_pad) -> None:
    translator.body.append("</noscript></div>\n")


def pass_through(translator, node: digit_pad) -> None:
    pass


def script(network, rejecter) -> str:
    """Return the script that holds the network, the one that tells digits from the rest, and the sample drawings.

    Most weights are in 8 bits, which changes an answer only where two digits are as likely as each other
    (`tests/site/test_confidence_engine.py`). Drawings have every second point, in whole pixels.
    """
    from cnnlib.digits.sample_drawings import sample_drawings  # here, since the book's build makes cnnlib importable

    drawings, labels = sample_drawings()
    thin = [[[*stroke[:-1:2], stroke[-1]] for stroke in drawing] for drawing in drawings]
    samples = [
        [
            [[point.round().astype(int).tolist() for point in stroke] for stroke in thin[n]]
            for n in (labels == digit).nonzero()[0]
        ]
        for digit in range(10)
    ]
    content = {
        "network": describe(network, "mixed"),
        "rejecter": describe(rejecter, "mixed"),
        "threshold": rejecter.notes["threshold"],
        "temperature": rejecter.notes["temperature"],
        "samples": samples,
    }
    content = json.dumps(content, separators=(",", ":"))
    return f"window.digitPadNetwork = {content};\n"


def add_files(app: Sphinx, page: str, template: str, context: dict, doctree: nodes.document | None) -> None:
    """Load script, style and network, on the pages that have a pad."""
    if doctree is None or not any(doctree.findall(digit_pad)):
        return
    from cnnlib import load_pretrained
    from cnnlib.digits.confidence import load_rejecter

    path = Path(app.outdir) / "_static" / NETWORK
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(script(load_pretrained(), load_rejecter()), "utf-8")
    app.add_css_file("digit-pad.css")
    app.add_js_file(ENGINE, loading_method="defer")
    app.add_js_file("digits.js", loading_method="defer")
    app.add_js_file(NETWORK, loading_method="defer")
    app.add_js_file("digit-pad.js", loading_method="defer")


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_node(
        digit_pad,
        html=(visit_html, depart_html),
        latex=(pass_through, pass_through),
        text=(pass_through, pass_through),
    )
    app.connect("doctree-read", make_pads)
    app.connect("html-page-context", add_files)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
