"""Show the library's own source in a notebook: the book prints what runs, and not a copy of it."""

import inspect
import textwrap

from IPython.display import Markdown


def show_source(*objects) -> Markdown:
    """Return the source of functions, classes or methods as a highlighted block."""
    blocks = [textwrap.dedent(inspect.getsource(thing)).rstrip() for thing in objects]
    return Markdown("```python\n" + "\n\n".join(blocks) + "\n```")
