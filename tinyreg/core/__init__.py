"""The engine, lowest first: backend, conversion, tape, signature, protocols, tensor, primitive, fused, checkpoint."""
