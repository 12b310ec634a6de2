"""Passwords, tokens, secrets and certificates: the only place that imports cryptography."""
