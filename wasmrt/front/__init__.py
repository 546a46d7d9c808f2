"""The front door: a component as a Python object. `load` compiles, links and instantiates; exports are attributes, resources are classes."""

from .loaded import Handle, Loaded, handle, load
from .resources import GuestResource

__all__ = ["GuestResource", "Handle", "Loaded", "handle", "load"]
