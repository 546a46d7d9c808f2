"""The canonical ABI: how component types lie in memory and in core values, and their compilation into plans."""
