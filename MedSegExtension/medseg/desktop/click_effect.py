"""What a click of the Segment Editor effect "MedSeg click" does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import slicer
from slicer.i18n import tr as _

from medseg.desktop.prompt_runner import Asked, PromptRunner
from medseg.desktop.shared_worker import shared_worker
from medseg.mrml.editing import stroke_for
from medseg.mrml.places import own_of
from medseg.mrml.preview import proposal
from medseg.mrml.segment_layout import mask_of
from medseg.mrml.volumes import grid_of_volume
from medseg.prompt import Point, Prompt
from medseg.segmentation import Mask, Segment, Segmentation

_INSIDE = Segment(1, "inside", (1.0, 1.0, 1.0))


class ClickEffect:
    """Clicks of one activation of the effect; the engine runs in the worker, and what it finds is written at once."""

    def __init__(self, effect: Any, label: Any) -> None:
        """Take the scripted effect, and the label that tells how it went."""
        self._effect, self._label = effect, label
        self._runner = PromptRunner(shared_worker, self._on_answered, self._tell)
        self._meant: tuple[Any, str, Mask] | None = None

    def click(self, world: Sequence[float], positive: bool, engine: str) -> bool:
        """Ask about a place (RAS mm of the world); returns whether the click was taken."""
        chosen = self._effect.parameterSetNode()
        node, volume, key = chosen.GetSegmentationNode(), chosen.GetSourceVolumeNode(), chosen.GetSelectedSegmentID()
        if node is None or volume is None or not key:
            self._tell(_("Choose a segment and a source volume first."))
            return False
        if self._runner.busy:
            self._tell(_("The last click is being answered; click again when it is there."))
            return True
        mask = mask_of(node, key, volume)
        self._meant = volume, key, mask
        self._runner.run(Asked(engine, volume, key), mask, [Point(own_of(world, volume), positive)])
        return True

    def stop(self) -> None:
        """Give up what runs."""
        self._runner.forget()
        self._meant = None

    def _on_answered(self, after: Mask, _prompt: Prompt) -> None:
        if self._meant is None or self._meant[0].GetScene() is None:
            return
        volume, key, before = self._meant
        if self._effect.parameterSetNode().GetSelectedSegmentID() != key:
            self._tell(_("Another segment was chosen meanwhile: the click was left out."))
            return
        self._write(before, after, volume)

    def _write(self, before: Mask, after: Mask, volume: Any) -> None:
        grid = grid_of_volume(volume)
        patch = proposal(before, after, grid)
        if patch is None:
            self._tell(_("Nothing would change: the segment is already as this click says."))
            return
        self._effect.saveStateForUndo()
        old, new = (Segmentation(side, (_INSIDE,)).mask(_INSIDE) for side in (patch.before, patch.after))
        start = [round(x) for x in grid.index(patch.geometry.origin)]
        node, modes = self._effect.parameterSetNode().GetSegmentationNode(), slicer.qSlicerSegmentEditorAbstractEffect
        for mode, part in ((modes.ModificationModeRemove, old & ~new), (modes.ModificationModeAdd, new & ~old)):
            if part.any():
                self._effect.modifySelectedSegmentByLabelmap(stroke_for(node, part, start, volume), mode)

    def _tell(self, text: str) -> None:
        self._label.setText(text)
