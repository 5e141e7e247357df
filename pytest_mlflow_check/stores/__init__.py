"""Tracking stores: making, reading and closing them."""
