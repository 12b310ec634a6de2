"""Webhook calls: their body, their signature, and where they may go. Pure: no I/O."""
