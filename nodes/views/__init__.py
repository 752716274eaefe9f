"""Pages: a function for each address; guard, ask, do, render."""
