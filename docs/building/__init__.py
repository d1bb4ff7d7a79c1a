"""What the site needs beyond Sphinx: formulas without a script, blocks that are run, links, the reference, and verdicts."""
