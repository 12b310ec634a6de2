"""Conduit's REST API, API documentation and web UI."""
