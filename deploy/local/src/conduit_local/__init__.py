"""The one-command local stack: broker, store and services under one supervisor."""
