"""Pages: a function for each address; guard, ask, act, render."""
