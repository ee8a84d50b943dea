"""Objects that know their settings."""

import inspect


class Configured:
    """Something that can be described, printed and built again, because each constructor argument has an attribute."""

    @property
    def config(self) -> dict:
        """The arguments of the constructor: enough to build another one like it."""
        return {name: getattr(self, name) for name in self._arguments()}

    def __repr__(self) -> str:
        # An argument that was not stored must not keep an error message from being printed.
        arguments = ", ".join(f"{name}={getattr(self, name, '?')!r}" for name in self._arguments())
        return f"{type(self).__name__}({arguments})"

    def _arguments(self) -> list[str]:
        return [name for name in inspect.signature(type(self)).parameters if name not in ("rng", "dtype")]
