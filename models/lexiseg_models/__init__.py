"""Networks of lexiseg: PyTorch definitions, converters of published weights, bundle exporters."""

__version__ = "0.1.0"
