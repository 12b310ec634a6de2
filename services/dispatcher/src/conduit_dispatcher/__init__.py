"""Conduit's dispatcher: turns accepted mail into signed webhook calls."""
