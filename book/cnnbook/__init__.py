"""The book's own Python, one module a chapter, named as its notebook: its figures, then the checks of its exercises."""
