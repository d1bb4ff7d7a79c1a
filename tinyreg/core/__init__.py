"""The engine, lowest first: backend, tape, tensor, primitive. Read them in this order."""
