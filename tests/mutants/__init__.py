"""One mutator over the whole package: functions broken on purpose, and what the tests that run them notice."""
