"""The other side: what is right on one side, mirrored about the middle, as a proposal for the segment in hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import slicer
from slicer.i18n import tr as _

from medseg.desktop.correction_desk import Desk
from medseg.desktop.task import Task, progress_text
from medseg.engines.client import WorkerClient
from medseg.engines.job import Job
from medseg.engines.mirroring import Mirrored, Mirroring
from medseg.mrml.segment_layout import mask_of
from medseg.mrml.volumes import grid_of_volume, view_of
from medseg.segmentation import Segment

_WHITE = (1.0, 1.0, 1.0)


class MirrorPanel:
    """Wires the widgets to the worker, which fits the middle; what comes out is proposed as prompts are."""

    def __init__(
        self,
        ui: Any,
        desk: Desk,
        worker: Callable[[], WorkerClient],
        told: Callable[[str], None],
        proposed: Callable[[], None],
    ) -> None:
        """Take the widgets by their names, the desk, what gives the worker, and whom to tell what there is to know."""
        self._ui, self._desk, self._worker, self._told, self._proposed = ui, desk, worker, told, proposed
        self._task: Task[Mirrored] | None = None
        self._for = ""
        self._names: dict[str, str] = {}
        for name in (_("the image"), _("the two segments")):
            ui.middleSelector.addItem(name)
        ui.mirrorButton.connect("clicked()", self._on_mirror)

    @property
    def busy(self) -> bool:
        """Whether a middle is being fitted."""
        return self._task is not None

    def refresh(self) -> None:
        """Offer the segments there are, and enable what can be done."""
        content = self._desk.node.GetSegmentation() if self._desk.node is not None else None
        names = {key: content.GetSegment(key).GetName() for key in content.GetSegmentIDs()} if content else {}
        if names != self._names:
            self._offer(names)
        self._ui.mirrorButton.enabled = self._desk.ready and len(names) > 1 and not self.busy

    def forget(self) -> None:
        """Give up what runs: another case is laid on the desk."""
        task, self._task = self._task, None
        if task is not None:
            task.abandon()

    def progressed(self, job: Job[Mirrored]) -> None:
        """See `task.Listener`."""
        self._told(progress_text(job))

    def finished(self, result: Mirrored, /) -> None:
        """See `task.Listener`."""
        self._task = None
        if not self._desk.ready or self._desk.segment().key != self._for:
            self._told(_("Another segment was chosen meanwhile: the mirrored one was left out."))
        elif self._desk.propose(result.mask, "Mirror"):
            self._told("\n".join(result.notices))
        else:
            self._told(_("Nothing would change: the segment is the mirror image already."))
        self._proposed()

    def failed(self, reason: str) -> None:
        """See `task.Listener`."""
        self._task = None
        self._told(reason)
        self.refresh()

    def cancelled(self) -> None:
        """See `task.Listener`."""
        self._task = None

    def _offer(self, names: dict[str, str]) -> None:
        before, self._names = self._source, names
        self._ui.sideSelector.clear()
        for name in names.values():
            self._ui.sideSelector.addItem(name)
        if before in names:
            self._ui.sideSelector.setCurrentIndex(list(names).index(before))

    @property
    def _source(self) -> str:
        """Key of the segment to be mirrored; empty where there is none."""
        row = int(self._ui.sideSelector.currentIndex)
        return list(self._names)[row] if 0 <= row < len(self._names) else ""

    def _on_mirror(self) -> None:
        target, volume = self._desk.segment(), self._desk.volume
        if volume is None or self._source in {"", target.key}:
            self._told(_("Choose the segment of the other side: {name} is the one in hand.").format(name=target.name))
            return
        self._for = target.key
        self._task = Task(self._asked(target, volume).begin(self._worker()), self)
        self.refresh()

    def _asked(self, target: Segment, volume: slicer.vtkMRMLScalarVolumeNode) -> Mirroring:
        labels = 2 * self._desk.mask().view(np.uint8)
        labels[mask_of(self._desk.node, self._source, volume)] = 1
        source = Segment(1, self._names[self._source], _WHITE)
        other = Segment(2, target.name, _WHITE) if int(self._ui.middleSelector.currentIndex) == 1 else None
        return Mirroring(view_of(volume), grid_of_volume(volume).image(labels), source, other)
