"""Launches of earlier sessions, and what decides whether one may stand in for a new one."""
