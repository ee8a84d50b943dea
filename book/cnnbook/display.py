"""Show the library's own source in a notebook: the book prints what runs, and not a copy of it."""

import ast
import inspect

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
