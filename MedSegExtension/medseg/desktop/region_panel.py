"""The table of the most doubtful regions: a click goes there, a tick says that it was looked at."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from medseg.desktop import corrector
from medseg.findings import Findings
from medseg.mrml.places import Crosshair, centre, world_of
from medseg.mrml.uncertainty_nodes import UncertaintyNodes
from medseg.regions import Region
from medseg.uncertainty import MEASURES

_SMALL_ML = 0.1


class RegionPanel:
    """Shows and keeps the findings of one case."""

    def __init__(self, ui: Any, seen_changed: Callable[[], None]) -> None:
        """Take the widgets of the .ui file by their names, and whom to tell that a tick was set."""
        self._ui, self._seen_changed = ui, seen_changed
        self._nodes: UncertaintyNodes | None = None
        self._findings: Findings | None = None
        self._row = -1
        self._busy = False
        self._crosshair: Crosshair | None = None
        table = ui.regionTable
        table.horizontalHeader().setSectionResizeMode(1, qt.QHeaderView.Stretch)
        table.connect("currentCellChanged(int,int,int,int)", self._on_current)
        table.connect("cellClicked(int,int)", self._on_clicked)
        table.connect("cellChanged(int,int)", self._on_changed)
        ui.previousButton.connect("clicked()", self._on_previous)
        ui.nextButton.connect("clicked()", self._on_next)
        ui.seenButton.connect("clicked()", self._on_seen)
        ui.correctButton.connect("clicked()", self._on_correct)

    def choose(self, nodes: UncertaintyNodes | None) -> None:
        """Show the regions of another case."""
        self._nodes, self._row = nodes, -1
        self._findings = nodes.findings if nodes else None
        self._fill()
        self.refresh()

    def leave(self) -> None:
        """Put the crosshair back."""
        if self._crosshair is not None:
            self._crosshair.remove()
        self._crosshair = None

    def refresh(self) -> None:
        """Enable what can be done."""
        there = self._findings is not None and bool(self._findings.regions)
        for name in ("previousButton", "nextButton", "seenButton"):
            getattr(self._ui, name).enabled = there
        chosen = there and self._row >= 0
        self._ui.correctButton.enabled = chosen and corrector.ours_is_there()
        self._ui.correctButton.setToolTip(self._why_not(chosen))
        self._tell()

    def _why_not(self, chosen: bool) -> str:
        if not corrector.ours_is_there():
            return str(_("The module Manual Correction is not loaded"))
        if not chosen:
            return str(_("Choose a region in the table first"))
        return str(_("Correct the segmentation at this region, in Manual Correction"))

    def _fill(self) -> None:
        found, table = self._findings, self._ui.regionTable
        regions = found.regions if found else ()
        self._busy = True
        table.setRowCount(0)
        table.setRowCount(len(regions))
        for row, region in enumerate(regions):
            for column, text in enumerate(("", _name(region), f"{_value(found, region):.3f}", _size(region))):
                table.setItem(row, column, qt.QTableWidgetItem(text))
            table.item(row, 1).setToolTip(_details(region))
            table.item(row, 0).setCheckState(qt.Qt.Checked if row in found.seen else qt.Qt.Unchecked)  # type: ignore[union-attr]
        self._name_columns()
        for column in (0, 2, 3):
            table.resizeColumnToContents(column)
        self._busy = False

    def _name_columns(self) -> None:
        unit = f" ({self._findings.unit})" if self._findings and self._findings.unit else ""
        titles = [_("Seen"), _("Region"), _("Value{unit}").format(unit=unit), _("Volume")]
        for column, title in enumerate(titles):
            self._ui.regionTable.setHorizontalHeaderItem(column, qt.QTableWidgetItem(title))

    def _tell(self) -> None:
        found = self._findings
        if found is None:
            self._ui.regionLabel.setText("")
            return
        known = MEASURES.get(found.measure)
        text = _("{seen} of {count} looked at. {measure} above {threshold:.3g}{unit}, {calibrated}.").format(
            seen=len(found.seen),
            count=len(found.regions),
            measure=known.name if known else found.measure,
            threshold=found.threshold,
            unit=f" {found.unit}" if found.unit else "",
            calibrated=_("uncalibrated") if found.uncalibrated else _("calibrated"),
        )
        self._ui.regionLabel.setText(text)

    def _on_current(self, row: int, _column: int, _row_before: int, _column_before: int) -> None:
        if not self._busy:
            self._go_to(row)

    def _on_clicked(self, row: int, _column: int) -> None:
        if row == self._row:
            self._go_to(row)

    def _on_changed(self, row: int, column: int) -> None:
        if self._busy or column != 0 or self._findings is None or self._nodes is None:
            return
        seen = self._ui.regionTable.item(row, 0).checkState() == qt.Qt.Checked
        self._findings = self._findings.ticked(row, seen)
        self._nodes.keep(self._findings)
        self._tell()
        self._seen_changed()

    def _on_previous(self) -> None:
        self._step(-1)

    def _on_next(self) -> None:
        self._step(1)

    def _step(self, by: int) -> None:
        count = len(self._findings.regions) if self._findings else 0
        if count:
            row = self._row + by if self._row >= 0 else 0
            self._ui.regionTable.setCurrentCell(row % count, 1)

    def _on_seen(self) -> None:
        item = self._ui.regionTable.item(self._row, 0) if self._row >= 0 else None
        if item is not None:
            item.setCheckState(qt.Qt.Unchecked if item.checkState() == qt.Qt.Checked else qt.Qt.Checked)

    def _on_correct(self) -> None:
        if self._nodes is not None:
            corrector.correct(self._nodes.node, self._row)

    def _go_to(self, row: int) -> None:
        self._row = row
        found, nodes = self._findings, self._nodes
        source = nodes.source if nodes else None
        if found is None or source is None or not 0 <= row < len(found.regions):
            self.refresh()
            return
        views = slicer.app.layoutManager()
        if views is not None:
            crosshair = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
            self._crosshair = self._crosshair or Crosshair(crosshair)
            _centre(views, world_of(found.regions[row].centre, source), crosshair)
        self.refresh()


def _centre(views: Any, place: tuple[float, float, float], crosshair: Any) -> None:
    slices = [views.sliceWidget(name).mrmlSliceNode() for name in views.sliceViewNames()]
    spaces = [views.threeDWidget(number).mrmlViewNode() for number in range(views.threeDViewCount)]
    cameras = [slicer.modules.cameras.logic().GetViewActiveCameraNode(view) for view in spaces]
    centre(place, slices, [camera for camera in cameras if camera is not None], crosshair)


def _name(region: Region) -> str:
    if region.kind == "doubt":
        where = region.segment or _("background")
        return str(_("doubt {number}, {where}").format(number=region.number, where=where))
    return str(_("part {number}, {segment}").format(segment=region.segment, number=region.number))


def _details(region: Region) -> str:
    return str(
        _("{name}: mean {mean:.3g}, maximum {maximum:.3g}, {over:.2f} of {volume:.2f} ml above the threshold").format(
            name=_name(region),
            mean=region.mean,
            maximum=region.maximum,
            over=region.over_threshold_ml,
            volume=region.volume_ml,
        )
    )


def _value(found: Findings | None, region: Region) -> float:
    return found.value(region) if found else 0.0


def _size(region: Region) -> str:
    return f"{region.volume_ml:.2f} ml" if region.volume_ml >= _SMALL_ML else f"{1000 * region.volume_ml:.0f} mm\u00b3"
