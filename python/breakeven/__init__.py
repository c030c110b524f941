"""Text classification that is fast on a CPU, and says where a GPU starts to pay.

    from breakeven import pipeline
    clf = pipeline("text-classification", model="distilbert/distilbert-base-uncased-finetuned-sst-2-english")
    clf("A film to watch twice.")
"""
from ._errors import ArgumentError, Error
from ._pipeline import Pipeline, from_transformers, pipeline

__all__ = ["ArgumentError", "Error", "Measurement", "Pipeline", "classify_parquet", "from_transformers", "pipeline"]


def __getattr__(name):
    if name == "__version__":
        from ._core import version
        return version
    if name == "Labels":
        from ._core import Labels
        return Labels
    if name == "Measurement":
        from ._measure import Measurement
        return Measurement
    if name == "classify_parquet":
        from ._parquet import classify_parquet
        return classify_parquet
    raise AttributeError(f"module 'breakeven' has no attribute '{name}'")
