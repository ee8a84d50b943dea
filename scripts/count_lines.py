"""Count the lines of code of the core of `cnnlib`: no blank lines, no comments, no docstrings.

    python scripts/count_lines.py

The core is what a reader of the book would have to understand, so it has a limit. A function has one, too.
"""

import ast
import io
import sys
import tokenize
from pathlib import Path

CNNLIB = Path(__file__).parents[1] / "cnnlib"
CORE = (
    "layers/*",
    *("losses", "optimizers", "schedules", "initializers", "network", "training", "saving"),
    *("gradient_check", "data_parallel", "config", "files", "blas"),
)
MAX_LINES, MAX_FUNCTION, MAX_FORMULA = 1_000, 40, 12
LONGER = ("FusedConvolution.forward", "FusedConvolution.backward")  # the speed trick, with its explanation

IGNORED = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING}
HAS_DOCSTRING = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def code_lines(source: str) -> set[int]:
    """Return the numbers of the lines that hold code."""
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in IGNORED and token.type != tokenize.ENDMARKER:
            lines |= set(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, HAS_DOCSTRING) and ast.get_docstring(node) is not None:
            lines -= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return lines


def functions(node: ast.AST, path: str = ""):
    """Yield the name, from its class on, and the node of every function below `node`."""
    for inner in ast.iter_child_nodes(node):
        if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            name = f"{path}{inner.name}"
            if not isinstance(inner, ast.ClassDef):
                yield name, inner
            yield from functions(inner, f"{name}.")


def core_files() -> list[Path]:
    """Return the modules of the core."""
    return sorted(file for name in CORE for file in CNNLIB.glob(f"{name}.py"))


def too_long(source: str) -> list[str]:
    """Return the functions of a module that have more lines of code than they may."""
    lines, found = code_lines(source), []
    for name, node in functions(ast.parse(source)):
        count = len(lines & set(range(node.lineno, node.end_lineno + 1)))
        formula = name.rpartition(".")[2] in ("forward", "backward") and name not in LONGER
        if count > (MAX_FORMULA if formula else MAX_FUNCTION):
            found.append(f"{name}: {count} lines")
    return found


def main() -> int:
    """Print the counts; return 1 if a limit is broken."""
    total, broken = 0, False
    for file in core_files():
        source = file.read_text(encoding="utf-8")
        count = len(code_lines(source))
        total += count
        print(f"{count:5}  {file.relative_to(CNNLIB.parent)}")
        for line in too_long(source):
            broken = True
            print(f"       too long: {line}")
    print(f"{total:5}  in all, at most {MAX_LINES}")
    return int(broken or total > MAX_LINES)


if __name__ == "__main__":
    sys.exit(main())
