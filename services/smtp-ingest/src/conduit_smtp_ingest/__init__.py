"""Conduit's SMTP server: takes mail in and puts it on the bus."""
