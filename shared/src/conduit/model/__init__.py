"""What Conduit speaks of: frozen types without input or output."""
