"""Write the repository's address to where it belongs: _config.yml, from which the book has it, CITATION.cff, and the
links of the package in pyproject.toml.

    python scripts/set_address.py https://github.com/OWNER/NAME

Without an address, it is taken out everywhere.
"""

import argparse
import re
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).parents[1]


def checked(address: str) -> str:
    """Return an address in the form in which it is stored; ValueError if a repository cannot have it."""
    address = address.strip().rstrip("/").removesuffix(".git")
    parts = urlsplit(address)
    if address and (parts.scheme != "https" or not parts.netloc or parts.path.strip("/").count("/") < 1):
        raise ValueError(f"expected an address such as https://github.com/OWNER/NAME, got {address!r}")
    if re.search(r"[^\w./:~+-]", address):
        raise ValueError(f"an address has no characters such as spaces and quotation marks, got {address!r}")
    return address


def replaced(path: Path, pattern: str, replacement: str) -> str:
    """Return a file's text with another address; ValueError unless there is exactly one place for it."""
    text, count = re.subn(pattern, lambda match: match[1] + replacement, path.read_text("utf-8"), flags=re.M)
    if count != 1:
        raise ValueError(f"{path.name}: expected one place for the address, found {count}")
    return text


def set_address(root: Path, address: str) -> None:
    """Write the address to all three files, or to none if one has no place for it."""
    address = checked(address)
    links = f'[project.urls]\nSource = "{address}"\nIssues = "{address}/issues"\n\n'
    changes = {
        "_config.yml": (r'(^repository:\n  url: )".*"$', f'"{address}"'),
        "CITATION.cff": (r"(^version: .*\n)(?:repository-code: .*\n)?", address and f"repository-code: {address}\n"),
        "pyproject.toml": (r"(^cnnlib = .*\n\n)(?:\[project\.urls\]\n(?:.+\n)*\n)?", address and links),
    }
    texts = {root / name: replaced(root / name, *change) for name, change in changes.items()}
    for path, text in texts.items():
        path.write_text(text, "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address", nargs="?", default="")
    address = parser.parse_args().address
    try:
        set_address(ROOT, address)
    except ValueError as error:
        parser.error(str(error))
    print(f"The repository's address is {address}" if address else "The repository has no address")


if __name__ == "__main__":
    main()
