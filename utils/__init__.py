"""Helper package of the course *Large Models, Measured*.

One module, one purpose; import what is needed by its full name, for example
``from utils.train import Trainer``.
"""
