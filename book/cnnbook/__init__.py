"""The book's own Python, one module a chapter, named as its notebook: its figures, then the checks of its exercises.

The code of a solution begins with `%%solution`. It runs when the book is made; in a reader's notebook, "Run All" leaves
it out, so that no exercise seems solved before it is.
"""

import os
import sys

NOT_RUN = "This is a solution. To run it, delete its first line."


def leave_out_solution(lines: list[str]) -> list[str]:
    """Return the lines of a cell that are to be run: see the top of this module."""
    if not lines or lines[0].strip() != "%%solution":
        return lines
    return lines[1:] if os.environ.get("CNNBOOK_PAGE") else [f"print({NOT_RUN!r})\n"]


def solution(line: str, cell: str) -> None:
    """Do the same in a script that nbconvert has made of a notebook, where `%%solution` is called as a magic."""
    if os.environ.get("CNNBOOK_PAGE"):
        shell.run_cell(cell).raise_error()
    else:
        print(NOT_RUN)


shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
if shell is not None:
    shell.input_transformers_cleanup.append(leave_out_solution)
    shell.register_magic_function(solution, "cell")
