"""Models, one family a module; import them by their full name."""
