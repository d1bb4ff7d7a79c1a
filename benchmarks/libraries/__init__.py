"""One file a peer, or two that are written alike; nothing here is imported before its peer is asked for."""
