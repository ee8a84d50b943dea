"""The file of the page's own engine, and how a network gets into a page: see cnnbook/engine.py."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # an extension loads before the book's build adds it

from cnnbook.engine import describe, describe_layer, encode, in_8_bits, quantize

__all__ = ["ENGINE", "describe", "describe_layer", "encode", "in_8_bits", "quantize"]


ENGINE = "cnnlib.js"
