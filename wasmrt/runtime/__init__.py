"""What users touch: engines, stores, modules, components, linkers, instances. The only Python room that imports `_native`."""
