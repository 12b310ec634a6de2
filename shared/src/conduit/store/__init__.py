"""MongoDB: one module a collection, and the only place that imports motor."""
