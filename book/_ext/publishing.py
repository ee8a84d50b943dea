"""What a published book says about itself: where its repository is, how to cite it, what search engines and links show.

One setting holds the repository's address: ``repository: url`` in _config.yml, which ``make address`` writes. Where it
is empty, nothing that needs it shows: no button to edit, report or launch, no command to clone, no canonical address.
The site is at GitHub Pages (or GitLab Pages), unless ``html: baseurl`` says otherwise. Every page has a description
in any case: its own first sentences.
"""

import re
from datetime import date
from html import escape
from pathlib import Path
from urllib.parse import urlsplit

import yaml
from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.util.docutils import SphinxDirective

CARD = "_static/card.png"
LONGEST = 200  # characters of a description: search engines show about 160, messengers about 200
COLAB = "colab"  # the branch of notebooks that install cnnlib first: scripts/make_colab.py
MISSING = """<h1>Page not found</h1>
<p>There is no page at this address. Perhaps it has moved: the <a href="book/index.html">table of contents</a> lists
every chapter, and the <a href="search.html">search</a> looks into all of them.</p>"""


def repository(config: Config) -> str:
    """Return the repository's address, or nothing."""
    return (config.html_theme_options.get("repository_url") or "").strip().rstrip("/").removesuffix(".git")


def pages_address(repository: str) -> str:
    """Return where GitHub or GitLab publishes the pages of a repository; nothing for other hosts.

    >>> pages_address("https://github.com/Ada/cnn")
    'https://ada.github.io/cnn/'
    """
    host, path = urlsplit(repository).netloc, urlsplit(repository).path.strip("/")
    if host not in ("github.com", "gitlab.com") or path.count("/") != 1:
        return ""
    owner, name = path.lower().split("/")[0], path.split("/")[1]
    domain = f"{owner}.{host.split('.')[0]}.io"
    return f"https://{domain}/" if name.lower() == domain else f"https://{domain}/{name}/"


def configure(app: Sphinx, config: Config) -> None:
    """Turn on what the repository's address allows."""
    address = repository(config)
    if not address:
        return
    options = config.html_theme_options
    options["repository_url"] = address
    options.update(use_repository_button=True, use_edit_page_button=True, use_issues_button=True)
    options["launch_buttons"] = {"binderhub_url": "https://mybinder.org", "notebook_interface": "jupyterlab"}
    if urlsplit(address).netloc == "github.com":
        options["launch_buttons"]["colab_url"] = "https://colab.research.google.com"
    config.html_baseurl = config.html_baseurl or pages_address(address)
    if config.html_baseurl and not config.html_baseurl.endswith("/"):
        config.html_baseurl += "/"


def describe(doctree: nodes.document | None, otherwise: str) -> str:
    """Return the first sentences of a page, as many as are shown, without formulas and citations."""
    for paragraph in doctree.findall(nodes.paragraph) if doctree is not None else ():
        if isinstance(paragraph.parent, nodes.section) and not list(paragraph.findall(nodes.math)):
            text = re.sub(r"\s*\[[^\]]*\]|\s+(?=[.,;:])", "", " ".join(paragraph.astext().split()))
            if len(text) > 40:
                return shorten(text)
    return shorten(otherwise)


def shorten(text: str) -> str:
    """Return as many whole sentences as fit, or else as many words.

    >>> shorten("One. " + "Two and " * 30)
    'One.'
    """
    if len(text) <= LONGEST:
        return text.strip()
    start = text[:LONGEST]
    sentences = re.match(r".*[.?!](?=\s)", start)
    return sentences[0] if sentences else start[: start.rfind(" ")].rstrip(",;:") + " ..."


def add_metadata(app: Sphinx, page: str, template: str, context: dict, doctree: nodes.document | None) -> None:
    """Write what search engines and messengers read."""
    is_front_page = page == app.config.root_doc
    description = describe(None if is_front_page else doctree, app.config.book_description)
    names, properties = {"description": description}, {}
    if app.config.html_baseurl and page != "404":
        title = re.sub("<[^>]*>", "", context.get("title") or "")
        properties = {
            "og:type": "article" if page.startswith("notebooks/") else "website",
            "og:site_name": app.config.html_title,
            "og:title": title or app.config.html_title,
            "og:description": description,
            "og:url": context.get("pageurl") or app.config.html_baseurl,
            "og:image": app.config.html_baseurl + CARD,
            "og:image:width": "1200",
            "og:image:height": "630",
            "og:image:alt": "A handwritten digit, what the first layer of a network sees of it, and its answer",
        }
        names["twitter:card"] = "summary_large_image"
    tags = [f'<meta name="{name}" content="{escape(text)}" />' for name, text in names.items()]
    tags += [f'<meta property="{name}" content="{escape(text)}" />' for name, text in properties.items()]
    if page == "404" and app.config.html_baseurl:  # a server shows this page in place of any other, at any depth
        tags.append(f'<base href="{escape(app.config.html_baseurl)}" />')
    context["metatags"] = "\n    ".join([context.get("metatags", ""), *tags])


def mend_buttons(app: Sphinx, page: str, template: str, context: dict, doctree: nodes.document | None) -> None:
    """Let Colab open the notebook that installs the library first, and Binder the reader's copy: see my_notebooks."""
    if not repository(app.config):
        return
    branch = app.config.html_theme_options["repository_branch"]
    for group in context.get("header_buttons", []):
        for button in group.get("buttons", []):
            if button.get("text") == "Colab":
                button["url"] = button["url"].replace(f"/blob/{branch}/", f"/blob/{COLAB}/")
            elif button.get("text") == "Binder":
                button["url"] = button["url"].replace("lab/tree/notebooks/", "lab/tree/my-notebooks/")


def missing_page(app: Sphinx) -> list[tuple[str, dict, str]]:
    return [("404", {"title": "Page not found", "body": MISSING}, "page.html")]


def write_sitemap(app: Sphinx, exception: Exception | None) -> None:
    """List all pages for search engines."""
    if exception or app.builder.format != "html" or not app.config.html_baseurl:
        return
    addresses = (app.config.html_baseurl + app.builder.get_target_uri(page) for page in sorted(app.env.found_docs))
    lines = "\n".join(f"  <url><loc>{escape(address)}</loc></url>" for address in addresses)
    content = f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n{lines}\n</urlset>\n'
    (Path(app.outdir) / "sitemap.xml").write_text(f'<?xml version="1.0" encoding="utf-8"?>\n{content}', "utf-8")


def code(text: str, language: str) -> list[nodes.Node]:
    return [nodes.literal_block(text, text, language=language)] if text else []


class CloneCommand(SphinxDirective):
    """The command that gets the project, where its address is known."""

    def run(self) -> list[nodes.Node]:
        address = repository(self.config)
        return code(f"git clone {address}.git\ncd {address.rpartition('/')[2]}" if address else "", "sh")


class InstallCommand(SphinxDirective):
    """The command that installs the library away from its repository, from there if its address is known."""

    def run(self) -> list[nodes.Node]:
        address = repository(self.config)
        source = f'"cnnlib @ git+{address}"' if address else "."
        where = "" if address else "  # in the project's folder"
        return code(f"pip install {source} jupyterlab jupyterlab-myst{where}", "sh")


class Citation(SphinxDirective):
    """How to cite the book, or a chapter of it, in BibTeX: from CITATION.cff and the repository's address."""

    option_spec = {"chapter": directives.unchanged}  # noqa: RUF012

    def run(self) -> list[nodes.Node]:
        path = Path(self.env.srcdir) / "CITATION.cff"
        self.env.note_dependency(str(path))
        work = yaml.safe_load(path.read_text("utf-8"))
        year = re.search(r"\d{4}", str(self.config.copyright))
        fields = {
            "author": "{" + " and ".join(author["name"] for author in work["authors"]) + "}",
            "title": work["title"],
            "year": year[0] if year else str(date.today().year),
            "note": f"Version {work['version']}",
        }
        if "chapter" in self.options:
            number, _, title = self.options["chapter"].partition(" ")
            fields["note"] += f", chapter {number}: {title}"
        if address := self.config.html_baseurl or repository(self.config):
            fields["url"] = address
        lines = "".join(f"  {name:<6} = {{{value}}},\n" for name, value in fields.items())
        return code(f"@misc{{cnn-from-scratch,\n{lines}}}", "bibtex")


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_config_value("book_description", "", "html")
    app.add_directive("clone-command", CloneCommand)
    app.add_directive("install-command", InstallCommand)
    app.add_directive("how-to-cite", Citation)
    app.connect("config-inited", configure)
    app.connect("html-page-context", add_metadata)
    app.connect("html-page-context", mend_buttons, priority=600)  # after the theme has made them
    app.connect("html-collect-pages", missing_page)
    app.connect("build-finished", write_sitemap)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
