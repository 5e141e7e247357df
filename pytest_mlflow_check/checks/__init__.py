"""Checks of a case: two run records in, findings out. Nothing here starts anything or reads a clock."""
