"""The panel of Manual Correction: what its widgets do."""

from __future__ import annotations

from typing import Any, Protocol

import slicer
from slicer.i18n import tr as _

from medseg.correction.propagation import Propagation
from medseg.desktop.change_views import ChangeViews
from medseg.desktop.clean_up_panel import CleanUpPanel
from medseg.desktop.correction_desk import Desk
from medseg.desktop.editor_box import EditorBox
from medseg.desktop.mirror_panel import MirrorPanel
from medseg.desktop.prompt_runner import Asked, PromptRunner
from medseg.desktop.prompt_tools import PromptTools
from medseg.desktop.review_queue_panel import ReviewQueuePanel
from medseg.desktop.session_panel import SessionPanel
from medseg.desktop.shared_worker import shared_worker
from medseg.engines.interactive_catalog import names
from medseg.errors import BadInput
from medseg.prompt import Prompt
from medseg.segmentation import Mask


class Parameters(Protocol):
    """What the module keeps in the scene."""

    volume: Any
    segmentation: Any
    engine: str


class CorrectionPanel:
    """Wires the widgets to the desk: prompts, clean-up, review, comparison and session."""

    def __init__(self, ui: Any) -> None:
        """Take the widgets of the .ui file by their names."""
        self._ui = ui
        self._parameters: Parameters | None = None
        self._waiting: list[Prompt] = []
        self._after: Mask | None = None
        self.editor = EditorBox(ui.editorFrame.layout())
        self.desk = Desk(slicer.mrmlScene, self.editor, self._tell)
        self.runner = PromptRunner(shared_worker, self._on_answered, self._tell)
        self.tools = PromptTools(ui, lambda: self.desk.volume, self.prompt, self._tell)
        self.tools.taken = self.editor.drop_effect
        self.changes = ChangeViews(ui, self.desk)
        self.review = ReviewQueuePanel(ui, self.desk, self._tell)
        self.cleaning = CleanUpPanel(ui, self.desk, self._tell, self.refresh)
        self.mirroring = MirrorPanel(ui, self.desk, shared_worker, self._tell, self.refresh)
        self.sessions = SessionPanel(ui, self.desk, self._tell, self._on_laid)
        self._engines = names()
        for name in self._engines:
            ui.engineSelector.addItem(name)
        self._connect()
        self.refresh()

    def follow(self, parameters: Parameters | None) -> None:
        """Show these parameters from now on; without any, mouse, keys and views are let go, and the session stays."""
        self._parameters = parameters
        if parameters is None:
            self.tools.drop()
            self.changes.leave()
            self.editor.leave()
            return
        self.editor.enter(slicer.mrmlScene)
        if parameters.engine in self._engines:
            self._ui.engineSelector.setCurrentIndex(self._engines.index(parameters.engine))
        self.choose()

    def choose(self) -> None:
        """Lay what is chosen on the desk, if that is another case than the one there."""
        chosen = self._parameters
        if chosen is None:
            return
        node, volume = chosen.segmentation, chosen.volume
        if node is not None and volume is None:
            volume = node.GetNodeReference(node.GetReferenceImageGeometryReferenceRole())
        both = (node, volume) if node is not None and volume is not None else (None, None)
        if both != (self.desk.node, self.desk.volume):
            self._forget()
            self.desk.lay(*both)
            self._tell("")
            self.sessions.choose()
            self.review.choose()
        self.refresh()

    def refresh(self) -> None:
        """Enable what can be done."""
        ready, proposing = self.desk.ready, self.desk.proposing
        self.tools.enable(ready)
        self._ui.acceptButton.enabled = self._ui.rejectButton.enabled = proposing
        self._ui.undoButton.enabled = self._ui.redoButton.enabled = self.desk.node is not None
        self._ui.propagateButton.enabled = ready and self.desk.folder is not None
        self.changes.refresh()
        self.review.refresh()
        self.cleaning.refresh()
        self.mirroring.refresh()
        self.sessions.refresh()

    def prompt(self, prompt: Prompt) -> None:
        """Ask the engine; a prompt that comes while another is answered waits for its turn."""
        self._waiting.append(prompt)
        self._run_next()

    def forget(self, node: Any) -> None:
        """A node is about to go: what needs it is let go."""
        if node is not None and node in (self.desk.node, self.desk.volume):
            self.clear()

    def clear(self) -> None:
        """Take the case off the desk: its nodes are about to go, or the module is unloaded."""
        self.tools.drop()
        self._forget()
        self.desk.clear()
        self.editor.choose(None, None)
        self.review.choose()
        self.refresh()

    @property
    def _engine(self) -> str:
        return self._engines[max(0, int(self._ui.engineSelector.currentIndex))]

    def _connect(self) -> None:
        ui = self._ui
        ui.engineSelector.connect("currentIndexChanged(int)", self._on_engine)
        ui.acceptButton.connect("clicked()", self._on_accept)
        ui.rejectButton.connect("clicked()", self._on_reject)
        ui.undoButton.connect("clicked()", self._on_undo)
        ui.redoButton.connect("clicked()", self._on_redo)
        ui.propagateButton.connect("clicked()", self._on_propagate)

    def _on_engine(self, row: int) -> None:
        if self._parameters is not None:
            self._parameters.engine = self._engines[row]

    def _on_accept(self) -> None:
        self._after = None
        self.desk.accept()
        self.changes.update()
        self.refresh()

    def _on_reject(self) -> None:
        self._after = None
        self._waiting.clear()
        self.desk.reject()
        self.refresh()

    def _on_undo(self) -> None:
        self.editor.undo()
        self._on_changed()

    def _on_redo(self) -> None:
        self.editor.redo()
        self._on_changed()

    def _on_changed(self) -> None:
        if self.desk.recorder is not None:
            self.desk.recorder.record()
        self.changes.update()
        self.refresh()

    def _on_propagate(self) -> None:
        """Ask the engine to do in the rest of the volume what the last change did."""
        folder = self.desk.folder
        if folder is None or not folder.session.log:
            self._tell(_("There is no change to carry on: correct a slice first."))
            return
        segment = next(s for s in folder.session.first.segments if s.key == self.editor.segment)
        try:
            asked = Propagation.of(folder.session.log[-1].patch, segment)
        except BadInput as fault:
            self._tell(str(fault))
            return
        self._ask(list(asked.prompts), asked.undone)

    def _run_next(self) -> None:
        if self._waiting and not self.runner.busy and self.desk.ready:
            self._ask([self._waiting.pop(0)])

    def _ask(self, prompts: list[Prompt], undone: Any = None) -> None:
        before = self._after if self._after is not None and self.desk.proposing else self.desk.mask()
        self.runner.run(Asked(self._engine, self.desk.volume, self.editor.segment), before, prompts, undone)

    def _on_answered(self, after: Mask, prompt: Prompt) -> None:
        """Show what came out, on top of what was proposed already; it is accepted at once where that is wanted."""
        self._after = after.copy()
        if not self.desk.propose(self._after, f"MedSeg {self._engine}", prompt):
            self._tell(_("Nothing would change: the segment is already as this prompt says."))
        elif self._ui.atOnceBox.checked:
            self._on_accept()
        self._run_next()
        self.refresh()

    def _on_laid(self) -> None:
        self._forget()
        self.review.choose()
        self.changes.update()
        self.refresh()

    def _forget(self) -> None:
        self._waiting.clear()
        self._after = None
        self.runner.forget()
        self.mirroring.forget()
        self.changes.leave()
        self.desk.reject()

    def _tell(self, text: str) -> None:
        self._ui.statusLabel.setText(text)
