"""Demos: each answers one question with a training run, a table, a picture and a sentence. `python -m demos --list`."""
