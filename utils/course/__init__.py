"""Commands for those who write and teach the course: ``python -m utils.course --help``."""
