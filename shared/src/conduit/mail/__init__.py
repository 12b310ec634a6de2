"""Mail as octets and as fields: addresses, MIME, trace. Pure: no input or output."""
