"""Drawings of the chapters, one module a chapter: plumbing that would only distract on its page."""
