"""Readers of command lines that scripts define, one module for each library."""
