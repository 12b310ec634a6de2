"""Conduit's verifier: checks the DNS records of claimed domains."""
