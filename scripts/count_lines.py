"""Count the lines of code of the core of `cnnlib`: no blank lines, no comments, no docstrings.

    python scripts/count_lines.py

The core is what a reader of the book would have to understand, so it has a limit. A function has one, too. The script
also says how many lines there are without the layers and losses of chapters 16 to 21. Besides the core stands what
checks its arguments, its files, and what is wrapped around the training loop.
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
    *("gradient_check", "data_parallel"),
)
# What chapters 16 to 21 add: whole modules, and of others what is called so.
LATER = (
    *("batch_normalization", "dropout", "transposed_convolution", "upsampling"),
    *("AveragePooling", "Residual", "Skip", "SigmoidCrossEntropy", "LossPart", "SumOfLosses"),
    *("average_pool", "batch_normalize", "transposed_convolve", "upsample"),
)
BESIDES = ("checks", "config", "devices", "files", "blas", "callbacks")
MAX_LINES, MAX_FUNCTION, MAX_FORMULA = 1_320, 40, 12
MAX_FUSED, FUSED = 25, ("FusedConvolution.", "RowConvolution.")  # the speed trick, with its explanation

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


def files(names: tuple[str, ...]) -> list[Path]:
    """Return the modules of those names."""
    return sorted(file for name in names for file in CNNLIB.glob(f"{name}.py"))


def too_long(source: str) -> list[str]:
    """Return the functions of a module that have more lines of code than they may."""
    lines, found = code_lines(source), []
    for name, node in functions(ast.parse(source)):
        count = len(lines & set(range(node.lineno, node.end_lineno + 1)))
        formula = MAX_FUSED if name.startswith(FUSED) else MAX_FORMULA
        if count > (formula if name.rpartition(".")[2] in ("forward", "backward") else MAX_FUNCTION):
            found.append(f"{name}: {count} lines")
    return found


def later_lines(file: Path) -> int:
    """Return how many lines of a module are for chapters 16 to 21."""
    source = file.read_text(encoding="utf-8")
    lines, later = code_lines(source), set()
    for node in ast.parse(source).body:
        if file.stem in LATER or getattr(node, "name", None) in LATER:
            first = min(each.lineno for each in (node, *getattr(node, "decorator_list", ())))
            later |= lines & set(range(first, node.end_lineno + 1))
    return len(later)


def count(names: tuple[str, ...]) -> tuple[int, bool]:
    """Print the counts of modules; return their sum, and whether a function is too long."""
    total, broken = 0, False
    for file in files(names):
        source = file.read_text(encoding="utf-8")
        lines, long = len(code_lines(source)), too_long(source)
        print(f"{lines:5}  {file.relative_to(CNNLIB.parent).as_posix()}")
        for line in long:
            print(f"       too long: {line}")
        total, broken = total + lines, broken or bool(long)
    return total, broken


def main() -> int:
    """Print the counts; return 1 if a limit is broken."""
    total, broken = count(CORE)
    print(f"{total:5}  in all, at most {MAX_LINES}; without what chapters 16 to 21 add,")
    print(f"{total - sum(map(later_lines, files(CORE))):5}; besides:")
    return int(count(BESIDES)[1] or broken or total > MAX_LINES)


if __name__ == "__main__":
    sys.exit(main())
