"""The review queue in a panel: the next place by a key, what was said of each, and the state of the segments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from medseg.correction import reviewing
from medseg.correction.reviewing import Queue, State
from medseg.desktop.correction_desk import Desk
from medseg.errors import BadInput
from medseg.mrml.codes import Status, set_status
from medseg.mrml.places import centre, world_of
from medseg.mrml.uncertainty_nodes import UncertaintyNodes

QUEUE = "MedSeg.Review"
"""The node attribute that holds the queue, as JSON; it is saved with the scene."""
_STATUS = {State.OPEN: Status.IN_PROGRESS, State.DONE: Status.COMPLETED, State.FLAGGED: Status.FLAGGED}


class ReviewQueuePanel:
    """Wires the widgets to the queue that the segmentation node keeps."""

    def __init__(self, ui: Any, desk: Desk, told: Callable[[str], None]) -> None:
        """Take the widgets by their names, the desk, and whom to tell what went wrong."""
        self._ui, self._desk, self._told = ui, desk, told
        self._queue = Queue()
        self._busy = False
        ui.regionsButton.connect("clicked()", self._on_regions)
        ui.partsButton.connect("clicked()", self._on_parts)
        ui.nextButton.connect("clicked()", self._on_next)
        ui.previousButton.connect("clicked()", self._on_previous)
        ui.doneButton.connect("clicked()", self._on_done)
        ui.flagButton.connect("clicked()", self._on_flag)
        ui.queueTable.connect("currentCellChanged(int,int,int,int)", self._on_current)

    @property
    def queue(self) -> Queue:
        """The queue as it stands."""
        return self._queue

    def choose(self) -> None:
        """Show the queue of the segmentation on the desk."""
        node = self._desk.node
        text = node.GetAttribute(QUEUE) if node is not None else None
        self._queue = Queue.from_text(text) if text else Queue()
        self.refresh()

    def refresh(self) -> None:
        """Enable what can be done, and show the queue."""
        node = self._desk.node
        self._ui.partsButton.enabled = self._desk.ready
        self._ui.regionsButton.enabled = node is not None and UncertaintyNodes(node).findings is not None
        for button in (self._ui.nextButton, self._ui.previousButton):
            button.enabled = bool(self._queue.items)
        for button in (self._ui.doneButton, self._ui.flagButton):
            button.enabled = self._queue.current >= 0
        self._fill()

    def show_region(self, number: int) -> None:
        """Review the uncertain regions, beginning with one of them, counted from 0."""
        self._on_regions()
        if number < len(self._queue.items):
            self._go(self._queue.at(number))

    def _on_regions(self) -> None:
        found = UncertaintyNodes(self._desk.node).findings if self._desk.node is not None else None
        if found is not None:
            self._take(reviewing.of_regions(found.regions))

    def _on_parts(self) -> None:
        try:
            whole = self._desk.segmentation()
        except BadInput as fault:
            self._told(str(fault))
            return
        self._take(reviewing.of_components(whole, whole.segments))

    def _take(self, queue: Queue) -> None:
        self._queue = queue.with_states_of(self._queue)
        self._told("" if queue.items else _("There is nothing to review: the segments are empty."))
        self._keep()

    def _on_next(self) -> None:
        self._go(self._queue.stepped(1))

    def _on_previous(self) -> None:
        self._go(self._queue.stepped(-1))

    def _on_done(self) -> None:
        self._say(State.DONE)

    def _on_flag(self) -> None:
        self._say(State.FLAGGED)

    def _on_current(self, row: int, _column: int, _row_before: int, _column_before: int) -> None:
        if not self._busy:
            self._go(self._queue.at(row))

    def _say(self, state: State) -> None:
        """Say it of the current place, and go on to the next one that is open."""
        said = self._queue.marked(state)
        self._queue = said
        self._mark_segment(said)
        following = said.stepped(1)
        while said.left and following.items[following.current].state is not State.OPEN:
            following = following.stepped(1)
        self._go(following if said.left else said)

    def _mark_segment(self, queue: Queue) -> None:
        node, name = self._desk.node, queue.items[queue.current].segment
        key = node.GetSegmentation().GetSegmentIdBySegmentName(name) if node is not None and name else ""
        state = queue.state_of(name)
        if key and node is not None and state is not None:
            set_status(node.GetSegmentation().GetSegment(key), _STATUS[state])

    def _go(self, queue: Queue) -> None:
        self._queue = queue
        self._keep()
        node, volume = self._desk.node, self._desk.volume
        if queue.current < 0 or node is None or volume is None:
            return
        item = queue.items[queue.current]
        key = node.GetSegmentation().GetSegmentIdBySegmentName(item.segment)
        if key:
            self._desk.select(key)
        views = slicer.app.layoutManager()
        if views is not None:
            slices = [views.sliceWidget(name).mrmlSliceNode() for name in views.sliceViewNames()]
            crosshair = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
            centre(world_of(item.centre, volume), slices, (), crosshair)

    def _keep(self) -> None:
        if self._desk.node is not None:
            self._desk.node.SetAttribute(QUEUE, self._queue.as_text())
        self.refresh()

    def _fill(self) -> None:
        table = self._ui.queueTable
        self._busy = True
        table.setRowCount(len(self._queue.items))
        names = {State.OPEN: "", State.DONE: _("done"), State.FLAGGED: _("flagged")}
        for row, item in enumerate(self._queue.items):
            cells = (item.segment or _("background"), item.what, f"{item.volume_ml:.2f}", names[item.state])
            for column, text in enumerate(cells):
                table.setItem(row, column, qt.QTableWidgetItem(text))
        if self._queue.current >= 0:
            table.setCurrentCell(self._queue.current, 0)
        self._busy = False
        left, count = self._queue.left, len(self._queue.items)
        self._ui.queueLabel.setText(_("{left} of {count} open").format(left=left, count=count) if count else "")
