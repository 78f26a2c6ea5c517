"""The panel of Registration Checkerboard: what its widgets do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol

import slicer
from slicer.i18n import tr as _

from medseg.desktop.landmark_panel import LandmarkPanel
from medseg.desktop.registration_run import Case, RegistrationRun
from medseg.desktop.review import FADE, FOLLOWING, MODES, Knobs, Review
from medseg.desktop.shared_worker import shared_worker
from medseg.desktop.verdict_panel import VerdictPanel
from medseg.engines.registration_client import Points, Views
from medseg.engines.registration_presets import PRESETS
from medseg.errors import BadInput
from medseg.mrml import transforms
from medseg.mrml.cursor import CursorWatch, Place
from medseg.mrml.volumes import grid_of_volume, view_of

_MIDDLE = (0.5, 0.5)
_PROGRESS_STEPS = 1000
_RED = "color: #b00020"


class Parameters(Protocol):
    """What the module keeps in the scene."""

    fixed: Any
    moving: Any
    transform: Any
    fixed_points: Any
    moving_points: Any
    preset: str
    weights: str
    from_here: bool
    mode: str
    tile: float
    share: float
    follow: bool
    reader: str
    comment: str
    thresholds: str


@dataclass(frozen=True, eq=False)
class Subject:
    """See `verdict_panel.Subject`."""

    views: Views
    forward: Any
    backward: Any
    names: tuple[str, str, str]
    stamp: int


class RegistrationPanel:
    """Wires the widgets to a registration, to a review that lives while its button is pressed, and to a verdict."""

    def __init__(self, ui: Any) -> None:
        """Take the widgets of the .ui file by their names."""
        self._ui = ui
        self._parameters: Parameters | None = None
        self._review: Review | None = None
        self._watch: CursorWatch | None = None
        self._place: Place = _MIDDLE
        self._shown: tuple[Any, ...] = ()
        self._complete = False
        self.run = RegistrationRun(slicer.mrmlScene, shared_worker, self._run_changed, self._about_to_move)
        self.landmarks = LandmarkPanel(ui)
        self.verdict = VerdictPanel(ui, shared_worker, self._subject)
        for mode in MODES:
            ui.modeSelector.addItem(_(mode))  # pythonqt: the names of the modes are translated in their table
        for preset in PRESETS:
            ui.presetSelector.addItem(_(preset.title))  # pythonqt: likewise
        self._connect()

    def follow(self, parameters: Parameters | None) -> None:
        """Show these parameters from now on; without any, the review ends. A registration goes on."""
        self._parameters = parameters
        if parameters is None:
            self._ui.reviewButton.checked = False
        else:
            self._select(parameters)
        self.landmarks.follow(parameters)
        self.verdict.follow(parameters)
        self.refresh()

    def packages_ready(self) -> None:
        """What registers is installed."""
        self._complete = True
        self.refresh()

    def forget(self, node: Any) -> None:
        """A node is about to go: a review of it ends, and a registration of it is stopped."""
        if node is None:
            return
        shown = self._parameters
        if shown is not None and node in (shown.fixed, shown.moving):
            self._ui.reviewButton.checked = False
        self.landmarks.forget(node)
        self.run.forget(node.GetID())

    def scene_closing(self) -> None:
        """Give up what the scene takes with it."""
        self.follow(None)
        self.verdict.close()
        self.verdict.outdated()
        self.run.cancel(_("Cancelled: the scene was closed."))

    def close(self) -> None:
        """Stop everything: the module is unloaded."""
        self.run.close()
        self.verdict.close()

    def refresh(self) -> None:
        """Enable what can be done, and show what was chosen."""
        chosen = self._parameters
        ready = chosen is not None and None not in (chosen.fixed, chosen.moving) and chosen.fixed is not chosen.moving
        self._ui.reviewButton.enabled = ready
        self._ui.registerButton.enabled = ready and self._complete and not self.run.busy
        self._ui.cancelButton.enabled = self.run.busy
        needed = PRESETS[self._ui.presetSelector.currentIndex].needs_weights
        for widget in (self._ui.weightsLabel, self._ui.weightsPath):
            widget.setVisible(needed)
        if not ready:
            self._ui.reviewButton.checked = False
        if ready and chosen is not None:
            self._follow_choice(chosen)
        self._ui.beforeButton.enabled = self._review is not None
        self.landmarks.refresh()
        self.verdict.refresh(ready)
        self._show()

    def _connect(self) -> None:
        ui = self._ui
        ui.modeSelector.connect("currentIndexChanged(int)", self._on_mode)
        ui.presetSelector.connect("currentIndexChanged(int)", self._on_preset)
        ui.registerButton.connect("clicked()", self._on_register)
        ui.cancelButton.connect("clicked()", self._on_cancel)
        ui.reviewButton.connect("toggled(bool)", self._on_review)
        ui.beforeButton.connect("toggled(bool)", self._on_before)

    def _select(self, parameters: Parameters) -> None:
        names = [preset.name for preset in PRESETS]
        if parameters.mode in MODES:
            self._ui.modeSelector.setCurrentIndex(MODES.index(parameters.mode))
        if parameters.preset in names:
            self._ui.presetSelector.setCurrentIndex(names.index(parameters.preset))

    def _follow_choice(self, chosen: Parameters) -> None:
        """Put the moving volume under the chosen transform; another pair or transform is judged anew."""
        wanted = chosen.fixed, chosen.moving, chosen.transform
        if wanted == self._shown:
            return
        if self._review is not None:
            self._ui.reviewButton.checked = False
        self._shown = wanted
        node = chosen.transform
        if node is not None and chosen.moving.GetTransformNodeID() != node.GetID():
            chosen.moving.SetAndObserveTransformNodeID(node.GetID())
        self.verdict.outdated()

    def _subject(self) -> Subject | None:
        """What is to be judged: the chosen volumes, and the transform that lies between them in the scene."""
        chosen = self._parameters
        if chosen is None or None in (chosen.fixed, chosen.moving) or chosen.fixed is chosen.moving:
            return None
        return _subject(chosen, self.run, self._points())

    def _points(self) -> tuple[Points, Points]:
        pairs = self.landmarks.pairs
        fixed, moving = ((), ()) if pairs is None else (points.tolist() for points in pairs.points())
        return fixed, moving

    def _on_register(self) -> None:
        chosen = self._parameters
        if chosen is None or chosen.fixed is None or chosen.moving is None:
            return
        self._ui.beforeButton.checked = False
        preset = PRESETS[self._ui.presetSelector.currentIndex]
        if preset.needs_weights:
            if not chosen.weights:
                self._say(_("Choose the file of the network first."), broken=True)
                return
            preset = replace(preset, options=replace(preset.options, weights=chosen.weights))
        volumes = chosen.fixed.GetID(), chosen.moving.GetID()
        self.run.begin(Case(*volumes, preset, *self._points(), from_here=chosen.from_here))

    def _on_cancel(self) -> None:
        self.run.cancel()

    def _about_to_move(self) -> None:
        self._ui.reviewButton.checked = False

    def _run_changed(self) -> None:
        run, chosen = self.run, self._parameters
        self._ui.progressBar.setVisible(run.busy)
        self._ui.progressBar.setValue(round(run.fraction * _PROGRESS_STEPS))
        self._say(run.message, run.broken)
        if run.busy:
            self._ui.registerButton.enabled, self._ui.cancelButton.enabled = False, True
            return
        node = slicer.mrmlScene.GetNodeByID(run.node) if run.node else None
        if chosen is not None and node is not None and chosen.moving is not None:
            chosen.transform = chosen.moving.GetParentTransformNode()
        self.refresh()

    def _on_mode(self, row: int) -> None:
        if self._parameters is not None:
            self._parameters.mode = MODES[row]  # which shows it, as every change of a parameter

    def _on_preset(self, row: int) -> None:
        if self._parameters is not None:
            self._parameters.preset = PRESETS[row].name

    def _on_review(self, wanted: bool) -> None:
        chosen = self._parameters
        if wanted and chosen is not None and self._review is None:
            self._ui.sideBySideButton.checked = False
            views = slicer.app.layoutManager()
            logics = [views.sliceWidget(name).sliceLogic() for name in views.sliceViewNames()]
            self._review = Review(logics, chosen.fixed, chosen.moving)
            self._watch = CursorWatch(slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLCrosshairNode"), self._on_cursor)
        if not wanted:
            self._leave()
        self.refresh()

    def _leave(self) -> None:
        if self._watch is not None:
            self._watch.stop()
        if self._review is not None:
            self._review.leave()
        self._review = self._watch = None
        self._place = _MIDDLE
        self._ui.beforeButton.checked = False

    def _on_before(self, shown: bool) -> None:
        if self._review is not None:
            self._review.before(shown)

    def _on_cursor(self, place: Place) -> None:
        chosen = self._parameters
        if chosen is not None and chosen.follow and chosen.mode in FOLLOWING:
            self._place = place
            self._show()

    def _show(self) -> None:
        chosen = self._parameters
        if chosen is None or self._review is None:
            return
        self._ui.shareSlider.enabled = chosen.mode == FADE
        try:
            self._review.show(chosen.mode, Knobs(chosen.tile, self._place, chosen.share))
        except BadInput as fault:
            self._say(str(fault), broken=True)

    def _say(self, text: str, broken: bool = False) -> None:
        self._ui.statusLabel.setText(text)
        self._ui.statusLabel.setStyleSheet(_RED if broken else "")


def _subject(chosen: Parameters, run: RegistrationRun, points: tuple[Points, Points]) -> Subject:
    fixed, moving = chosen.fixed, chosen.moving
    found, node = run.found_for(moving), moving.GetParentTransformNode()
    forward = found.forward if found is not None else transforms.transform_of(fixed, moving, grid_of_volume(fixed))
    names = fixed.GetName(), moving.GetName(), node.GetName() if node is not None else _("none")
    backward = found.backward if found is not None else (forward.GetInverse() if forward.IsLinear() else None)
    return Subject(Views(view_of(fixed), view_of(moving), *points), forward, backward, names, _stamp(fixed, moving))


def _stamp(*volumes: Any) -> int:
    parents = [volume.GetParentTransformNode() for volume in volumes]
    return int(max((node.GetTransformToWorldMTime() for node in parents if node is not None), default=0))
