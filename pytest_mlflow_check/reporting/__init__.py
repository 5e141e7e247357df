"""Findings turned into text for people."""
