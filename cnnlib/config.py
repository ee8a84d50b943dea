"""Objects that know their settings, because each constructor argument is stored under its own name."""

import inspect


class Configured:
    """Something that can be described, printed and built again from the arguments of its constructor."""

    @property
    def config(self) -> dict:
        """The arguments of the constructor: enough to build another one like it."""
        arguments = inspect.signature(type(self)).parameters
        return {name: getattr(self, name) for name in arguments if name not in ("rng", "dtype")}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.config.items())})"
