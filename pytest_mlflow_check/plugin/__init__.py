"""pytest's side of a session: hooks, options, collection, fixtures, and what is printed."""
