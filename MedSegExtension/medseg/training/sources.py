"""Where the data of a training comes from, by the name in `data/source`."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from medseg.errors import BadInput
from medseg.progress import Progress
from medseg.training.config import TrainingConfig
from medseg.training.samples import Data

Source = Callable[[TrainingConfig, Path, int, Progress], Data]
"""From the configuration, a folder for prepared files (kept while the run goes on), the number of the fold (from 0;
always 0 without folds) and progress to data. A source says with `BadInput` what is wrong with the data."""

# "module:function", imported when it is wanted
SOURCES: dict[str, str] = {
    "list": "medseg.training.case_files:from_pairs",
    "decathlon": "medseg.training.case_files:from_decathlon",
    "nnunet": "medseg.training.case_files:from_nnunet",
    "label_maps": "medseg.training.synthesis.source:open_label_maps",
    "corrections": "medseg.training.corrections:open_corrections",
    "clicks": "medseg.training.clicks.source:open_clicks",
    "registration": "medseg.training.registration.source:open_images",
    "registration_label_maps": "medseg.training.registration.source:open_drawn",
    "click_corrections": "medseg.training.clicks.corrections:open_click_corrections",
}


def open_data(config: TrainingConfig, folder: Path, fold: int, progress: Progress) -> Data:
    """Open the data that a configuration names.

    Raises:
        BadInput: if there is no such source, or the data cannot be used.
    """
    if config.data.source not in SOURCES:
        raise BadInput(f"data/source {config.data.source!r} is unknown; known: {', '.join(sorted(SOURCES))}")
    module, _, function = SOURCES[config.data.source].partition(":")
    source: Source = getattr(import_module(module), function)
    data = source(config, folder, fold, progress)
    if not (len(data.training) and len(data.validation)):
        raise BadInput(f"data/source {config.data.source} gives no cases to train on, or none to validate on")
    return data
