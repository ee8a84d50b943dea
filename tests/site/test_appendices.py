"""The appendices are complete: no symbol and no term is used that they do not list, and what they list is in use.

The pages are read by the same Markdown parser as the book. Directives such as exercises are looked into; of code, only
formulas in strings, as in the labels of a figure. At the end: chapters and cells are as short as they should be.
"""

import inspect
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import nbformat
import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token
from mdit_py_plugins.amsmath import amsmath_plugin
from mdit_py_plugins.colon_fence import colon_fence_plugin
from mdit_py_plugins.dollarmath import dollarmath_plugin
from sphinx_external_toc.parsing import parse_toc_yaml

import cnnlib

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(parse_toc_yaml(ROOT / "_toc.yml"))
APPENDICES = {f"book/{name}" for name in ("index", "notation", "glossary", "for-teachers", "references")}
NOTEBOOKS = [page for page in PAGES if (ROOT / f"{page}.ipynb").exists()]
PARSER = (
    MarkdownIt().enable("table").use(dollarmath_plugin, allow_labels=True).use(amsmath_plugin).use(colon_fence_plugin)
)


def text_of(page: str) -> str:
    """The Markdown of a page, or of all Markdown cells of a notebook."""
    if (ROOT / f"{page}.md").exists():
        return (ROOT / f"{page}.md").read_text("utf-8")
    return "\n\n".join(sources(page, "markdown"))


@cache
def sources(page: str, kind: str) -> list[str]:
    """The sources of a notebook's cells of one kind, "markdown" or "code"."""
    cells = nbformat.read(ROOT / f"{page}.ipynb", as_version=4).cells
    return [cell.source for cell in cells if cell.cell_type == kind]


def tokens(text: str) -> Iterator[Token]:
    """Parse Markdown, and what stands in directives as well."""
    for token in PARSER.parse(text):
        if token.type in ("fence", "colon_fence"):
            if token.info.startswith("{math}"):
                yield Token("math_block", "math", 0, content=token.content)
            elif token.info.startswith("{"):
                yield from tokens(token.info.partition("}")[2])  # its title
                yield from tokens(token.content)
        elif token.type == "inline":
            yield from token.children
        else:
            yield token


@cache
def tokens_of(page: str) -> list[Token]:
    return list(tokens(text_of(page)))


def chapter_of(page: str) -> str:
    """The name by which the notation page calls a chapter: its number, "lab" or "fused"; empty for any other page."""
    name = page.rpartition("/")[2]
    named = {"broken-gradients": "lab", "fused-convolution": "fused"}
    return named.get(name, str(int(name[:2])) if name[:2].isdigit() else "")


# Symbols

# Commands that put symbols in their places, and signs that are known from school.
LAYOUT = "frac dfrac tfrac left right big Big bigl bigr Bigl Bigr quad qquad underbrace boxed text displaystyle"
SCHOOL = "cdot times dots pm sqrt le leq ge geq ne neq infty pi to log max min tanh mid"
NO_SYMBOLS = {f"\\{name}" for name in (LAYOUT + " " + SCHOOL).split()}

WORDS = re.compile(r"\\(?:text|begin|end)\{[^{}]*\}")
NAME = re.compile(r"\\(?:operatorname|mathrm)\{(\w\w+)\}")  # of a function
ONE_SIGN = re.compile(r"\\(?:mathrm|mathbb)\{\w\}|\\(?:tilde|hat|bar|widehat)\s*(?:\{\w+\}|\w)|\\[A-Za-z]+|[A-Za-z]")
SAME = {"\\lVert": "\\rVert", "\\lvert": "\\rvert", "\\vert": "\\rvert", "\\lfloor": "\\rfloor", "\\lceil": "\\rceil"}
SAME |= {"\\langle": "\\rangle", "\\Longleftrightarrow": "\\Leftrightarrow"}


def symbols(formula: str) -> set[str]:
    """The letters, decorated letters, signs and names of a formula, without words, layout and what school teaches."""
    formula = WORDS.sub(" ", formula)
    found = {re.sub(r"[\s{}]", "", sign) for sign in ONE_SIGN.findall(NAME.sub(" ", formula))}
    return {SAME.get(sign, sign) for sign in found} - NO_SYMBOLS | set(NAME.findall(formula))


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        (r"dW_{dm} = \sum_n x_{nd}", {"d", "W", "m", "\\sum", "n", "x"}),
        (r"\tilde x_{r \cdot \text{stride}} \le \tilde{x}", {"\\tildex", "r"}),
        (r"\operatorname{Var}(W) + \mathrm{E}[g] + \mathrm{relu}(z)", {"Var", "W", "\\mathrmE", "g", "relu", "z"}),
        (r"\begin{cases} \lvert \hat m \rvert & \eta \end{cases}", {"\\rvert", "\\hatm", "\\eta"}),
    ],
)
def test_symbols_are_found(formula, expected):
    assert symbols(formula) == expected


def formulas(tokens: Iterable[Token]) -> Iterator[str]:
    return (token.content for token in tokens if token.type.startswith(("math", "amsmath")))


def symbols_of(page: str) -> set[str]:
    printed = re.findall(r"\$([^$\"\n]+)\$", "\n".join(sources(page, "code"))) if page in NOTEBOOKS else []
    return {sign for formula in (*formulas(tokens_of(page)), *printed) for sign in symbols(formula)}


# Where a symbol or a term may stand on a page.
PLACES = [
    "# A heading with {}",
    "Text with {}, and more.",
    "- a list\n  1. in a list: {}",
    "> {}",
    "| a | b |\n|---|---|\n| 1 | {} |",
    "````{exercise} ★ Title\n:label: ex\n\nText\n\n```{dropdown} Hint\n{}\n```\n````",
    "```{dropdown} What is {}?\nAn answer.\n```",
    ":::{admonition} Title\n:class: tip\n- {}\n:::",
    "[{}](page.md)",
    "*in italics {}*",
]


@pytest.mark.parametrize("place", PLACES)
def test_nothing_is_overlooked(place):
    found = list(tokens(place.replace("{}", r"$\zeta$")))
    assert [symbols(formula) for formula in formulas(found)] == [{"\\zeta"}]
    assert list(bold(tokens(place.replace("{}", "**flux capacitor**")))) == ["flux capacitor"]


@pytest.mark.parametrize(
    "block", ["$$\n{}\n$$ (eq-1)", "```{math}\n:label: eq-1\n{}\n```", "\\begin{align}\n{} &= 1\n\\end{align}"]
)
def test_no_formula_is_overlooked(block):
    assert {sign for formula in formulas(tokens(block.replace("{}", r"\zeta"))) for sign in symbols(formula)} >= {
        "\\zeta"
    }


def rows(text: str) -> Iterator[list[list[Token]]]:
    """The rows of all tables, each a list of cells, each a list of tokens."""
    row: list[list[Token]] = []
    in_cell = False
    for token in PARSER.parse(text):
        if token.type == "tr_open":
            row = []
        elif token.type == "tr_close":
            yield row
        elif token.type in ("td_open", "td_close"):
            in_cell = token.type == "td_open"
        elif in_cell and token.type == "inline":
            row.append(token.children)


def cell_symbols(cell: list[Token]) -> set[str]:
    return {sign for token in cell if token.type == "math_inline" for sign in symbols(token.content)}


@cache
def notation() -> tuple[set[str], dict[str, set[str]]]:
    """The symbols that the whole book shares, and those with another meaning by chapter."""
    everywhere, single = text_of("book/notation").split("\n## Letters with another meaning in one chapter\n")
    shared = set().union(*(cell_symbols(row[0]) for row in rows(everywhere) if row))
    own: dict[str, set[str]] = {}
    chapter = ""
    for row in rows(single):
        if row:
            chapter = "".join(token.content for token in row[0] if token.type == "text") or chapter
            own.setdefault(chapter, set()).update(cell_symbols(row[1]))
    return shared, own


@pytest.mark.parametrize("page", PAGES)
def test_every_symbol_is_on_the_notation_page(page):
    shared, own = notation()
    chapter = chapter_of(page)  # other pages speak of all chapters
    missing = symbols_of(page) - shared - (own.get(chapter, set()) if chapter else set().union(*own.values()))
    assert not missing, f"{page} uses {sorted(missing)}, which book/notation.md does not list for it"


@pytest.mark.parametrize("page", PAGES)
def test_no_symbol_is_listed_in_vain(page):
    own = notation()[1].get(chapter_of(page), set())
    unused = own - symbols_of(page)
    assert not unused, f"book/notation.md lists {sorted(unused)} for {page}, which does not use them"


def test_every_shared_symbol_is_used():
    used = set().union(*(symbols_of(page) for page in PAGES if page != "book/notation"))
    assert not notation()[0] - used


# Terms

# What is printed in bold, is short and has no full stop, but introduces no term: emphasis, and openings of paragraphs.
NO_TERMS = {
    "02": {"best step", "central, not forward", "step is 10^{-5}"},
    "04": {"at zero", "at most 1/4", "own score", "another score", "two classes"},
    "05": {"column"},
    "06": {"with a stride"},
    "07": {"first", "all"},
    "08": {"for any order"},
    "10": {"one example", "drawn evenly"},
    "12": {"scaled", "placed", "compare", "one step"},
    "14": {"column", "row", "map", "you", "centre", "coordinate", "result", "each layer", "along a direction"},
    "15": {"stretching", "canvas made small", "dark on bright", "thin pen", "replayed"},
    "23": {"extrapolated", "repeat", "warm up"},
    "be": {"last layers", "data"},
    "br": {
        "in training",
        "message",
        "several examples",
        "every option",
        "random upstream gradient",
    },
}


def plain(term: str) -> str:
    """A term in lower case, without article and plural."""
    return re.sub(r"^(the|an|a) |s$", "", " ".join(term.lower().split()))


def bold(tokens: Iterable[Token]) -> Iterator[str]:
    """What is printed in bold, if it is at most three words long and no sentence."""
    content = None
    for token in tokens:
        if token.type == "strong_open":
            content = ""
        elif token.type == "strong_close":
            if len(plain(content).split()) <= 3 and content[-1] not in ".:?,":
                yield content
            content = None
        elif content is not None:
            content += " " if token.type == "softbreak" else token.content


ENTRIES = re.search(r"```\{glossary\}\n:sorted:\n(.*?)```", text_of("book/glossary"), re.DOTALL)[1].strip()


@cache
def glossary() -> set[str]:
    """The terms: the lines of the directive that are not indented."""
    return {line for line in ENTRIES.splitlines() if line and not line.startswith(" ")}


@pytest.mark.parametrize("page", [page for page in PAGES if page not in APPENDICES])
def test_every_term_is_in_the_glossary(page):
    known = {plain(term) for term in glossary()}
    exceptions = NO_TERMS.get(page.rpartition("/")[2][:2], set())
    terms = {plain(term) for term in bold(tokens_of(page))} - {plain(term) for term in exceptions}
    missing = {term for term in terms if not any(f"{entry} ".startswith(f"{term} ") for entry in known)}
    assert not missing, f"{page} introduces {sorted(missing)}, which book/glossary.md does not define"


def test_exceptions_are_needed():
    pages = {page.rpartition("/")[2][:2]: page for page in PAGES}
    unused = {
        key: {plain(term) for term in terms} - {plain(term) for term in bold(tokens_of(pages[key]))}
        for key, terms in NO_TERMS.items()
    }
    assert not any(unused.values()), unused


# What a page says, or its code, for a term that it explains under a shorter or longer name.
SAID = {
    "analytic gradient": "analytic",
    "cosine schedule": "cosine",
    "expected value": "mathrm E",
    "floating-point number": "float64",
    "full padding": "full",
    "Glorot initialisation": "Glorot",
    "He initialisation": "initializer",
    "initialisation": "initial",
    "normal distribution": "standard normal",
    "separable kernel": "separable",
    "symmetry breaking": "symmetry",
    "transfer learning": "transfer",
    "valid padding": "valid",
    "warm-up": "warms up",
}


def letters(text: str) -> str:
    """A text in lower case, with a space for all that is no letter or digit."""
    return re.sub(r"[\W_]+", " ", text.lower())


@cache
def vocabulary(page: str) -> str:
    return letters("\n".join([text_of(page), *(sources(page, "code") if page in NOTEBOOKS else [])]))


@pytest.mark.parametrize("entry", [entry for entry in ENTRIES.split("\n\n") if "[" in entry])
def test_terms_are_used_where_the_glossary_says(entry):
    pages = {"report": "notebooks/how-we-know", "Beyond digits": "book/beyond-digits"}
    pages |= {chapter_of(page): page for page in PAGES if chapter_of(page)}
    terms = [line for line in entry.splitlines() if not line.startswith(" ")]
    words = [plain(letters(word)) for term in terms for word in (term, SAID.get(term, term))]
    for named in re.findall(r"\[([\w\s]+)\]", entry):
        page = pages[" ".join(named.split())]
        assert any(word in vocabulary(page) for word in words), f"{page} does not speak of {terms[0]}"


@pytest.mark.parametrize("page", PAGES)
def test_references_to_terms_lead_somewhere(page):
    referred = re.findall(r"\{term\}`(?:[^`<]*<)?([^`>]+)>?`", text_of(page))
    assert {" ".join(term.lower().split()) for term in referred} <= {term.lower() for term in glossary()}


def test_definitions_are_short():
    long = [entry.split("\n")[0] for entry in ENTRIES.split("\n\n") if len(entry.split()) > 60]
    assert not long


# All gradients on one page


def gradient_tables() -> Iterator[tuple[str, str, str]]:
    """Class, left-hand side and line of code for every row of the tables; a section names its class first of all."""
    for section in text_of("notebooks/all-gradients").split("\n## ")[1:]:
        for row in rows(section):
            if row:
                code = [token.content for token in row[2] if token.type == "code_inline"]
                yield re.search(r"`(\w+)`", section)[1], row[0][0].content, *code


def test_the_lines_beside_the_formulas_are_the_library_s():
    lines = list(gradient_tables())
    assert {name for name, _, _ in lines} == {
        *("Dense", "ReLU", "Sigmoid", "Softmax", "Convolutional", "MaxPooling", "Flatten"),
        *("MeanSquaredError", "CategoricalCrossEntropy", "SoftmaxCrossEntropy"),
    }
    for name, _, line in lines:
        assert line in inspect.getsource(getattr(cnnlib, name)), f"not in {name}: {line}"


def test_every_gradient_of_the_tables_is_checked():
    notebook = nbformat.read(ROOT / "notebooks" / "all-gradients.ipynb", as_version=4)
    output = "".join(out.text for cell in notebook.cells if cell.cell_type == "code" for out in cell.outputs)
    checked = re.findall(r"^(\w+) (d\w) +below 1e-7: True$", output, re.MULTILINE)
    assert len(checked) == len(output.splitlines())
    assert set(checked) == {(name, left) for name, left, _ in gradient_tables() if left.startswith("d")}


# How we know it is right


def test_the_tests_that_the_report_names_exist():
    named = {token.content for token in tokens_of("notebooks/how-we-know") if token.type == "code_inline"}
    named = {name for name in named if name.startswith(("test_", "tests/"))}
    found = {name for name in named if list((ROOT / "tests").rglob(name)) or (ROOT / name).exists()}
    assert named and named - found == set()


# For teachers


def exercises() -> dict[str, tuple[str, str]]:
    """For the label of each exercise, its stars and its title."""
    found = (
        match for page in NOTEBOOKS for match in re.finditer(r"\{exercise\} (★+) (.+)\n:label: (\S+)", text_of(page))
    )
    return {match[3]: (match[1], match[2].strip()) for match in found}


def test_exercises_for_teachers_are_called_by_their_names():
    named = re.findall(r"\{ref\}`([^`<]+) <([^`>]+)>`", text_of("book/for-teachers").replace("\n", " "))
    assert named
    assert {label: title for title, label in named} == {
        label: exercises().get(label, ("", ""))[1] for _, label in named
    }


@pytest.mark.parametrize(("who", "stars"), [("all", "★"), ("most", "★★"), ("the fast", "★★★")])
def test_exercises_for_teachers_are_as_hard_as_they_say(who, stars):
    text = text_of("book/for-teachers").replace("\n", " ")
    given = re.findall(rf"\*\*For {who}:\*\*(.*?)(?=\*\*|\||#)", text)
    assert len(given) == 10  # one for each session
    labels = {label for part in given for label in re.findall(r"<(ex-[^>]+)>", part)}
    assert {label: exercises()[label][0] for label in labels} == dict.fromkeys(labels, stars)


def minutes(page: str) -> tuple[int, int]:
    """How long it takes to read a chapter, and to do its exercises, as its top says."""
    text = " ".join(text_of(page).split())
    return tuple(map(int, re.search(r"\*\*Time:\*\* (\d+) minutes to read, (\d+) to do", text).groups()))


def test_minutes_for_teachers_are_those_of_the_chapters():
    plan = [row for row in rows(text_of("book/for-teachers")) if row and "../notebooks/" in str(row[1])]
    linked = [[token.attrs["href"][3:-6] for token in row[1] if token.type == "link_open"] for row in plan]
    stated = [tuple(int(row[column][0].content) for column in (2, 3)) for row in plan]
    assert len(plan) == 10
    assert stated == [tuple(map(sum, zip(*map(minutes, pages), strict=True))) for pages in linked]


# How long chapters and cells may be


def words(page: str) -> int:
    """How many words of a chapter are seen at once; a formula counts as one, folded text does not count."""
    seen = [re.sub(r"^```\{dropdown\}.*?^```$", "", cell, flags=re.S | re.M) for cell in sources(page, "markdown")]
    return sum(len(re.sub(r"\$\$.*?\$\$|\$[^$]*\$", " x ", cell, flags=re.S).split()) for cell in seen)


@pytest.mark.parametrize("page", [page for page in NOTEBOOKS if chapter_of(page)])
def test_a_chapter_can_be_read_in_one_sitting(page):
    assert words(page) <= 2500


@pytest.mark.parametrize("page", NOTEBOOKS)
def test_no_cell_is_longer_than_a_screen(page):
    assert [cell for cell in sources(page, "code") if len(cell.splitlines()) > 20] == []


def test_the_library_s_page_documents_every_public_name():
    text = (ROOT / "book" / "api.md").read_text("utf-8")
    named = re.findall(r"^\.\. auto(?:class|function|exception):: (\S+)$", text, flags=re.M)
    public = set(cnnlib.__all__) - {"batch_last", "DataError", "DataNotFoundError"}
    assert {name for name in named if "." not in name} >= public
    assert [name for name in named if "." not in name and not hasattr(cnnlib, name)] == []


@pytest.mark.parametrize("page", NOTEBOOKS)
def test_code_fits_the_page(page):
    assert [line for cell in sources(page, "code") for line in cell.splitlines() if len(line) > 80] == []


LIGHTNESS = re.compile(r"\b(dark\w*|bright\w*|black|white)\b", re.IGNORECASE)
# Where these words speak of values, of paper, or of the page's own colours, and not of what a figure shows.
NOT_OF_FIGURES = {
    "12": "black on white|black and white",
    "15": "dark on bright|bright_on_dark|ground is bright|the border is bright|blackboard|ex-15-bright",
    "how": "light and dark",
}
LATER_CHAPTERS = [page for page in NOTEBOOKS if chapter_of(page) in {*map(str, range(1, 25)), "fused", "lab", ""}]


@pytest.mark.parametrize("page", LATER_CHAPTERS)
def test_no_sentence_names_lightness(page):
    """A reader in dark mode sees figures inverted, so a sentence names the quantity."""
    allowed = NOT_OF_FIGURES.get(re.split("-", page.rpartition("/")[2])[0], "$^")
    text = re.sub(allowed, "", text_of(page), flags=re.IGNORECASE)
    assert [text[max(match.start() - 40, 0) : match.end() + 40] for match in LIGHTNESS.finditer(text)] == []
