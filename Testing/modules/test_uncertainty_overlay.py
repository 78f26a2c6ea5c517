"""Uncertainty Overlay: the real module file, worker, networks, nodes and views; the panel is an emulation."""

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness import needed

needed.core()
needed.qt()
needed.graphics()

import slicer  # noqa: E402
import vtk  # noqa: E402

from correction_phantom import click  # noqa: E402
from harness.layout import four_up  # noqa: E402
from harness.pythonqt.install import qt  # noqa: E402
from medseg.mrml.geometry import ijk_to_ras  # noqa: E402
from medseg.mrml.segment_layout import mask_of  # noqa: E402
from medseg.mrml.uncertainty_nodes import UncertaintyNodes  # noqa: E402
from medseg.mrml.volumes import grid_of_volume  # noqa: E402
from uncertainty_cards import DROPOUT  # noqa: E402

FILE = Path(__file__).parents[2] / "Modules/MedSegUncertainty/MedSegUncertainty.py"
SIZE = (120, 120)
FOREVER = """for _ in range(1000000000):
        x = torch.sin(x)
    return torch.cat([-x, x], dim=1)"""

Until = Callable[..., None]
Ball = Callable[..., Any]


@pytest.fixture
def uncertainty(desktop: Any, models: Path) -> Iterator[Any]:
    loaded = desktop.LoadedModule(FILE)
    yield loaded
    loaded.unload()


@pytest.fixture
def views(application: Any, desktop: Any) -> Iterator[Any]:
    with four_up(application, SIZE) as opened:
        yield opened


@pytest.fixture
def dropout(make_network_card: Any, models: Path) -> str:
    make_network_card(models / "dropout", arguments=dict(DROPOUT))
    return "dropout"


@pytest.fixture
def panel(uncertainty: Any, views: Any, dropout: str, ball: Ball) -> Any:
    """The panel with a volume and a model that has dropout chosen."""
    volume = ball()
    for view in views.slices.values():
        view.show(volume)
    opened = uncertainty.open()
    choose(opened, dropout)
    opened.ui.samplesBox.value = 3
    return opened


def choose(panel: Any, model: str, method: str = "dropout") -> None:
    panel.ui.modelSelector.setCurrentIndex(panel.ui.modelSelector.findText(model))
    panel.ui.methodSelector.setCurrentIndex(panel.ui.methodSelector.findText(method))


def run(panel: Any, until: Until) -> Any:
    panel.ui.applyButton.click()
    until(lambda: panel.panel.queue.current is None)
    return panel.tie.parameters.result if panel.tie.parameters else None


def idle(panel: Any) -> Callable[[], bool]:
    return lambda: panel.panel.queue.current is None


def pixels(views: Any) -> list[np.ndarray]:
    return [view.pixels().copy() for view in views.slices.values()]


def cases() -> list[Any]:
    return [node for node in slicer.util.getNodesByClass("vtkMRMLSegmentationNode") if "dropout" in node.GetName()]


def cells(panel: Any, column: int) -> list[str]:
    table = panel.ui.regionTable
    return [table.item(row, column).text() for row in range(table.rowCount)]


def ticks(panel: Any) -> list[bool]:
    table = panel.ui.regionTable
    return [table.item(row, 0).checkState() == qt.Qt.Checked for row in range(table.rowCount)]


def middle_of(view: Any) -> np.ndarray:
    return (slicer.util.arrayFromVTKMatrix(view.node.GetXYToRAS()) @ [SIZE[0] / 2, SIZE[1] / 2, 0, 1])[:3]


def labelled(volume: Any, name: str, radius: float, segment: str = "Ball") -> Any:
    """A segmentation node with one ball, as a reader would draw it."""
    place = np.stack(
        np.meshgrid(*[np.linspace(-1, 1, n) for n in slicer.util.arrayFromVolume(volume).shape], indexing="ij")
    )
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    identifier = node.GetSegmentation().AddEmptySegment(segment, segment)
    mask = (np.linalg.norm(place, axis=0) < radius).astype(np.uint8)
    slicer.util.updateSegmentBinaryLabelmapFromArray(mask, node, identifier, volume)
    return node


def floats(volume: Any, array: np.ndarray, name: str) -> Any:
    node = slicer.util.addVolumeFromArray(array.astype(np.float32), name=name)
    node.CopyOrientation(volume)
    return node


class TestThePanel:
    def test_the_module_has_its_facts(self, uncertainty: Any) -> None:
        assert (uncertainty.parent.title, list(uncertainty.parent.categories)) == ("Uncertainty Overlay", ["MedSeg"])
        assert "not for clinical use" in uncertainty.parent.helpText

    def test_every_control_says_what_it_does(self, uncertainty: Any) -> None:
        panel = uncertainty.open()
        kinds = ("Selector", "Button", "Table", "Limit", "Folder", "Slider", "Box", "List", "Tabs")
        controls = [name for name in vars(panel.ui) if name.endswith(kinds) and name[0].islower()]
        sections = {"settingsButton", "overlayButton", "regionsButton"}
        assert len(controls) > 30
        assert [n for n in controls if n not in sections and not getattr(panel.ui, n).toolTip] == []

    def test_the_work_can_be_done_by_keys(self, uncertainty: Any) -> None:
        ui = uncertainty.open().ui
        names = ("apply", "cancel", "show", "previous", "next", "seen")
        keys = [getattr(ui, f"{name}Button").shortcut.toString() for name in names]
        assert keys == ["Ctrl+Return", "Ctrl+.", "Ctrl+U", "Ctrl+Up", "Ctrl+Down", "Ctrl+K"]

    def test_the_first_model_can_be_sampled(self, uncertainty: Any) -> None:
        from medseg.engines import cards

        ui = uncertainty.open().ui
        first = next(s.card for s in cards.readable() if s.card.title == ui.modelSelector.currentText)
        assert first.network["arguments"]["dropout"] > 0
        assert ui.methodSelector.currentText == "dropout"

    def test_the_modules_own_test_passes(self, uncertainty: Any, views: Any) -> None:
        uncertainty.open()
        uncertainty.module.runTest()


class TestAModel:
    def test_a_result_is_shown_and_kept_in_the_scene(self, panel: Any, until: Until, views: Any) -> None:
        before = pixels(views)
        node = run(panel, until)
        record = json.loads(node.GetAttribute("MedSeg.Provenance"))
        assert (record["options"]["sampling"]["method"], record["options"]["sampling"]["samples"]) == ("dropout", 3)
        maps = {n.GetAttribute("MedSeg.Measure"): n for n in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")}
        wanted = {"predictive_entropy", "expected_entropy", "mutual_information", "variance", "margin", "disagreement"}
        assert set(maps) >= wanted
        listed = [panel.ui.measureSelector.itemText(row) for row in range(panel.ui.measureSelector.count)]
        assert len(listed) == len(wanted)
        assert panel.ui.showButton.checked
        assert not any(np.array_equal(new, old) for new, old in zip(pixels(views), before, strict=True))
        assert panel.ui.statusLabel.text.startswith("Done in ")
        assert panel.ui.resultLabel.text == "dropout: dropout, 3 samples"

    def test_the_verdict_and_that_nothing_is_calibrated_are_told(self, panel: Any, until: Until) -> None:
        assert not panel.ui.bannerLabel.isVisible()
        run(panel, until)
        text = panel.ui.bannerLabel.text
        assert text.startswith(("<b>ACCEPT</b>", "<b>REVIEW</b>", "<b>REJECT</b>"))
        assert "Uncalibrated" in text
        assert "Uncalibrated" in panel.ui.calibrationLabel.text
        assert "uncalibrated" in panel.ui.regionLabel.text
        assert not panel.ui.boundsSelector.enabled

    def test_threshold_and_share_of_voxels_are_one(self, panel: Any, until: Until) -> None:
        node = run(panel, until)
        array = slicer.util.arrayFromVolume(UncertaintyNodes(node).maps["predictive_entropy"])
        display = UncertaintyNodes(node).maps["predictive_entropy"].GetDisplayNode()
        for percent in (25, 1, 60):
            panel.ui.percentSlider.value = percent
            value = display.GetLowerThreshold()
            assert 100 * (array >= value).mean() == pytest.approx(percent, abs=0.05)
            assert panel.ui.thresholdSlider.value == pytest.approx(value, abs=1e-3)
        panel.ui.thresholdSlider.value = 0.5
        assert panel.ui.percentSlider.value == pytest.approx(100 * (array >= 0.5).mean(), abs=0.01)
        assert display.GetLowerThreshold() == pytest.approx(0.5)

    def test_measure_zone_and_opacity_reach_the_views_and_the_scene(self, panel: Any, until: Until, views: Any) -> None:
        run(panel, until)
        shown = pixels(views)
        panel.ui.measureSelector.setCurrentIndex(panel.ui.measureSelector.findText("Margin"))
        (legend,) = slicer.util.getNodesByClass("vtkMRMLColorLegendDisplayNode")
        assert legend.GetTitleText() == "Margin"
        panel.ui.zoneSelector.setCurrentIndex(1)
        panel.ui.opacitySlider.value = 0.9
        assert not np.array_equal(pixels(views)[0], shown[0])
        parameters = panel.tie.parameters
        assert (parameters.measure, parameters.zone, parameters.opacity) == ("margin", "inside", 0.9)
        assert views.slices["Red"].composite.GetForegroundOpacity() == pytest.approx(0.9)

    @pytest.mark.parametrize("how", ["press", "leave", "unload"])
    def test_the_views_are_as_they_were(self, panel: Any, uncertainty: Any, until: Until, views: Any, how: str) -> None:
        node = run(panel, until)
        panel.ui.showButton.click()
        node.GetDisplayNode().SetVisibility(False)
        before = pixels(views)
        panel.ui.showButton.click()
        panel.ui.surfaceButton.click()
        assert not np.array_equal(pixels(views)[0], before[0])
        {"press": panel.ui.showButton.click, "leave": uncertainty.leave, "unload": uncertainty.unload}[how]()
        assert all(np.array_equal(new, old) for new, old in zip(pixels(views), before, strict=True))
        assert slicer.util.getNodesByClass("vtkMRMLColorLegendDisplayNode") == []
        assert not [n for n in slicer.util.getNodesByClass("vtkMRMLModelNode") if "surface" in n.GetName()]

    def test_the_surface_is_coloured_by_the_map(self, panel: Any, until: Until) -> None:
        run(panel, until)
        panel.ui.surfaceButton.click()
        (model,) = [n for n in slicer.util.getNodesByClass("vtkMRMLModelNode") if "surface" in n.GetName()]
        assert model.GetDisplayNode().GetActiveScalarName() == "Uncertainty"
        first = model.GetPolyData().GetPointData().GetScalars().GetRange()
        panel.ui.measureSelector.setCurrentIndex(panel.ui.measureSelector.findText("Margin"))
        assert model.GetPolyData().GetPointData().GetScalars().GetRange() != first

    def test_a_calibrated_card_gives_lines_and_says_what_they_promise(
        self, panel: Any, until: Until, make_network_card: Any, models: Path
    ) -> None:
        bounds = {"coverage": 0.9, "outer": 0.1, "inner": 0.6, "cases": 40, "segment": "Class 1"}
        scores = {"calibration": {"temperature": 1.5}, "conformal": [bounds]}
        make_network_card(models / "calibrated", arguments=dict(DROPOUT), scores=scores)
        panel.panel._models_moved()
        choose(panel, "calibrated")
        node = run(panel, until)
        assert "exchangeable" in panel.ui.calibrationLabel.text
        assert "Temperature 1.5" in panel.ui.calibrationLabel.text
        assert "uncalibrated" not in panel.ui.regionLabel.text
        panel.ui.boundsSelector.setCurrentIndex(panel.ui.boundsSelector.findText("Class 1, 90%"))
        lines = slicer.util.getNode("Class 1, coverage 90%")
        probability = slicer.util.arrayFromVolume(UncertaintyNodes(node).probabilities["Class 1"])
        keys = lines.GetSegmentation().GetSegmentIDs()
        source = UncertaintyNodes(node).source
        found = [slicer.util.arrayFromSegmentBinaryLabelmap(lines, key, source).astype(bool) for key in keys]
        assert np.array_equal(found[0], probability >= 0.6)
        assert np.array_equal(found[1], probability >= 0.1)


class TestFaults:
    def test_a_model_without_dropout_says_what_it_has_instead(
        self, panel: Any, until: Until, make_network_card: Any, models: Path
    ) -> None:
        make_network_card(models / "plain")
        panel.panel._models_moved()
        choose(panel, "plain")
        assert run(panel, until) is None
        assert "softmax" in panel.ui.statusLabel.text
        assert "tta" in panel.ui.statusLabel.text
        choose(panel, "plain", "softmax")
        assert run(panel, until) is not None

    def test_an_ensemble_of_one_is_told(self, panel: Any, until: Until) -> None:
        choose(panel, "dropout", "ensemble")
        assert run(panel, until) is None
        assert "member" in panel.ui.statusLabel.text

    def test_one_sample_is_told_and_softmax_named(self, panel: Any, until: Until) -> None:
        before = slicer.mrmlScene.GetNumberOfNodes()
        panel.ui.samplesBox.value = 1
        assert run(panel, until) is None
        assert "give 2 or more, or the method softmax" in panel.ui.statusLabel.text
        assert slicer.mrmlScene.GetNumberOfNodes() == before

    @pytest.mark.parametrize(
        ("fault", "words"),
        [("grid", "does not lie on the voxels"), ("nan", "NaN or infinite"), ("constant", "is 0.5 everywhere")],
    )
    def test_a_map_that_does_not_fit_is_told_and_nothing_is_lost(
        self, panel: Any, until: Until, fault: str, words: str
    ) -> None:
        volume = slicer.util.getNode("Ball")
        mask = labelled(volume, "Mask", 0.6)
        array = np.full((24, 24, 24), 0.5, np.float32)
        if fault == "nan":
            array[3, 4, 5] = np.nan
        map_node = floats(volume, array[:12] if fault == "grid" else array, "Map")
        ask_map(panel, mask, map_node)
        run(panel, until)
        assert words in panel.ui.statusLabel.text
        assert np.count_nonzero(slicer.util.arrayFromSegmentBinaryLabelmap(mask, "Ball", volume)) > 0
        assert panel.ui.applyButton.enabled

    def test_an_empty_mask_is_told_and_rejected(self, panel: Any, until: Until) -> None:
        volume = slicer.util.getNode("Ball")
        mask = labelled(volume, "Mask", 0.0)
        array = np.random.default_rng(0).uniform(0, 1, (24, 24, 24))
        ask_map(panel, mask, floats(volume, array, "Map"))
        assert run(panel, until) is mask
        assert "the segmentation is empty" in panel.ui.statusLabel.text
        assert panel.ui.bannerLabel.text.startswith("<b>REJECT</b>")
        panel.ui.surfaceButton.click()
        assert "the mask is empty" in panel.ui.statusLabel.text


def ask_map(panel: Any, mask: Any, map_node: Any) -> None:
    panel.ui.sourceTabs.setCurrentIndex(2)
    panel.ui.mapSegmentationSelector.setCurrentNode(mask)
    panel.ui.mapSelector.setCurrentNode(map_node)


class TestReaders:
    def test_readers_are_compared(self, panel: Any, until: Until) -> None:
        volume = slicer.util.getNode("Ball")
        readers = [labelled(volume, name, radius) for name, radius in (("Anna", 0.6), ("Bela", 0.7), ("Carl", 0.5))]
        tick(panel, "Anna", "Bela", "Carl")
        node = run(panel, until)
        masks = [slicer.util.arrayFromSegmentBinaryLabelmap(r, "Ball", volume).astype(bool) for r in readers]
        pairs = [a != b for a, b in itertools.combinations(masks, 2)]
        found = UncertaintyNodes(node)
        assert np.allclose(slicer.util.arrayFromVolume(found.maps["disagreement"]), np.mean(pairs, axis=0), atol=1e-6)
        majority = slicer.util.arrayFromSegmentBinaryLabelmap(
            node, found.node.GetSegmentation().GetNthSegmentID(0), volume
        )
        assert np.array_equal(majority.astype(bool), np.sum(masks, axis=0) >= 2)
        assert node.GetName() == "Majority of Anna, Bela, Carl"
        assert "Uncalibrated: shares of opinions" in panel.ui.bannerLabel.text
        assert panel.ui.showButton.checked

    def test_maps_of_probability_are_offered_and_our_own_maps_are_not(self, panel: Any, until: Until) -> None:
        volume = slicer.util.getNode("Ball")
        run(panel, until)
        floats(volume, np.random.default_rng(0).uniform(0, 1, (24, 24, 24)), "Tool")
        slicer.util.getNode("Tool")
        panel.ui.sourceTabs.setCurrentIndex(1)
        listed = [panel.ui.opinionList.item(row).text() for row in range(panel.ui.opinionList.count)]
        assert sorted(listed) == ["Ball dropout", "Tool"]

    def test_a_reader_who_comes_later_is_listed_and_one_who_goes_is_not(self, panel: Any, until: Until) -> None:
        tick(panel)
        node = labelled(slicer.util.getNode("Ball"), "Anna", 0.6)
        until(lambda: panel.ui.opinionList.count == 1, within=10)
        slicer.mrmlScene.RemoveNode(node)
        until(lambda: panel.ui.opinionList.count == 0, within=10)

    def test_one_opinion_is_told(self, panel: Any, until: Until) -> None:
        labelled(slicer.util.getNode("Ball"), "Anna", 0.6)
        tick(panel, "Anna")
        assert run(panel, until) is None
        assert "tick two or more" in panel.ui.statusLabel.text

    def test_what_is_no_probability_any_more_is_named(self, panel: Any, until: Until) -> None:
        volume = slicer.util.getNode("Ball")
        labelled(volume, "Anna", 0.6)
        tool = floats(volume, np.full((24, 24, 24), 0.5), "Tool")
        tick(panel, "Anna", "Tool")
        slicer.util.arrayFromVolume(tool)[0] = 7
        assert run(panel, until) is None
        assert "volume 'Tool' runs from 0.5 to 7" in panel.ui.statusLabel.text


def tick(panel: Any, *names: str) -> None:
    panel.ui.sourceTabs.setCurrentIndex(1)
    wanted = panel.ui.opinionList
    for row in range(wanted.count):
        if wanted.item(row).text() in names:
            wanted.item(row).setCheckState(qt.Qt.Checked)


class TestRegions:
    @pytest.fixture
    def listed(self, panel: Any, until: Until) -> Any:
        """Two spots of doubt over a ball."""
        volume = slicer.util.getNode("Ball")
        volume.SetSpacing(2, 3, 4)
        volume.SetIJKToRASDirections(0, 0, 1, 1, 0, 0, 0, 1, 0)
        array = np.zeros((24, 24, 24), np.float32)
        array[5:8, 6:9, 7:10], array[15:18, 12:15, 9:12] = 0.7, 0.9
        ask_map(panel, labelled(volume, "Mask", 0.3), floats(volume, array, "Map"))
        run(panel, until)
        return panel

    def test_a_click_centres_every_view(self, listed: Any, views: Any) -> None:
        assert cells(listed, 1)[0].startswith("doubt")
        assert cells(listed, 2)[:2] == ["0.900", "0.700"]
        for row, index in ((1, (7, 6, 5)), (0, (9, 12, 15))):
            listed.ui.regionTable.setCurrentCell(row, 1)
            matrix = vtk.vtkMatrix4x4()
            slicer.util.getNode("Ball").GetIJKToRASMatrix(matrix)
            place = matrix.MultiplyPoint([*index, 1.0])[:3]
            for view in views.slices.values():
                assert np.abs(middle_of(view) - place).max() < 0.5

    def test_next_and_previous_go_round(self, listed: Any) -> None:
        count = listed.ui.regionTable.rowCount
        rows = []
        for button in (listed.ui.nextButton, listed.ui.nextButton, listed.ui.previousButton, listed.ui.previousButton):
            button.click()
            rows.append(listed.panel._regions._row)
        assert rows == [0, 1 % count, 0, count - 1]

    def test_ticks_are_saved_with_the_scene(self, listed: Any, uncertainty: Any, tmp_path: Path) -> None:
        listed.ui.nextButton.click()
        listed.ui.seenButton.click()
        assert ticks(listed)[:2] == [True, False]
        assert listed.ui.regionLabel.text.startswith("1 of ")
        assert slicer.util.saveScene(str(tmp_path / "scene.mrb"))
        slicer.mrmlScene.Clear(0)
        assert listed.ui.regionTable.rowCount == 0
        slicer.util.loadScene(str(tmp_path / "scene.mrb"))
        assert ticks(listed)[:2] == [True, False]
        assert cells(listed, 2)[:2] == ["0.900", "0.700"]
        assert listed.ui.bannerLabel.isVisible()
        listed.ui.showButton.click()
        assert listed.ui.showButton.checked
        assert listed.ui.statusLabel.text == "" or "not" not in listed.ui.statusLabel.text

    def test_regions_can_be_found_at_another_threshold_and_ticks_stay(self, listed: Any, until: Until) -> None:
        listed.ui.nextButton.click()
        listed.ui.seenButton.click()
        listed.ui.thresholdSlider.value = 0.8
        listed.ui.findButton.click()
        until(idle(listed))
        assert [text for text in cells(listed, 1) if text.startswith("doubt")] == ["doubt 1, background"]
        assert ticks(listed)[0]
        assert "above 0.8" in listed.ui.regionLabel.text

    def test_correcting_needs_the_module_and_says_so(self, listed: Any, monkeypatch: Any) -> None:
        monkeypatch.delattr(slicer.modules, "medsegcorrection", raising=False)
        listed.ui.nextButton.click()
        assert not listed.ui.correctButton.enabled
        assert listed.ui.correctButton.toolTip == "The module Manual Correction is not loaded"

    def test_a_region_is_sent_to_manual_correction(
        self, listed: Any, uncertainty: Any, correction: Any, views: Any, until: Until, monkeypatch: Any
    ) -> None:
        def select(name: str) -> None:  # as the main window does, which there is none of here
            assert name == "MedSegCorrection"
            uncertainty.leave()
            correction.open()

        monkeypatch.setattr(slicer.util, "selectModule", select)
        correction.open()  # the application makes the panel when it is first asked for
        correction.leave()
        assert not listed.ui.correctButton.enabled
        count = len(cells(listed, 1))
        listed.ui.nextButton.click()
        listed.ui.nextButton.click()
        listed.ui.correctButton.click()
        opened, node, volume = correction.widget, slicer.util.getNode("Mask"), slicer.util.getNode("Ball")
        assert (opened.panel.desk.node, opened.panel.desk.volume) == (node, volume)
        assert opened.panel.desk.folder is not None
        queue = opened.panel.review.queue
        assert (queue.current, len(queue.items)) == (1, count)
        place = (slicer.util.arrayFromVTKMatrix(ijk_to_ras(grid_of_volume(volume))) @ [7, 6, 5, 1])[:3]
        assert [middle_of(view) for view in views.slices.values()] == [pytest.approx(place, abs=4)] * 3
        before = mask_of(node, "Ball", volume)
        opened.volume = volume
        click(opened, (12, 12, 18), until)
        opened.ui.acceptButton.click()
        assert mask_of(node, "Ball", volume).sum() > before.sum()
        opened.ui.undoButton.click()
        assert np.array_equal(mask_of(node, "Ball", volume), before)


class TestWhileAJobRuns:
    @pytest.fixture
    def endless(self, panel: Any, make_scripted_card: Any, models: Path) -> Any:
        make_scripted_card(models / "endless", FOREVER, window=())
        panel.panel._models_moved()
        choose(panel, "endless", "softmax")
        return panel

    def start(self, panel: Any, until: Until) -> None:
        panel.ui.applyButton.click()
        until(lambda: panel.ui.statusLabel.text.startswith("whole"))
        assert panel.ui.progressBar.isVisible()

    def test_cancel_leaves_the_scene_as_it_was(self, endless: Any, until: Until) -> None:
        before = slicer.mrmlScene.GetNumberOfNodes()
        self.start(endless, until)
        endless.ui.cancelButton.click()
        until(idle(endless), within=4)
        assert slicer.mrmlScene.GetNumberOfNodes() == before
        assert endless.ui.statusLabel.text == "Cancelled."

    def test_deleting_the_volume_stops_it(self, endless: Any, until: Until) -> None:
        self.start(endless, until)
        slicer.mrmlScene.RemoveNode(slicer.util.getNode("Ball"))
        until(idle(endless), within=4)
        assert "one of its nodes was deleted" in endless.ui.statusLabel.text

    def test_closing_the_scene_stops_it(self, endless: Any, until: Until) -> None:
        self.start(endless, until)
        slicer.mrmlScene.Clear(0)
        until(idle(endless), within=4)
        assert "the scene was closed" in endless.ui.statusLabel.text

    def test_reloading_the_module_ends_it_and_the_new_panel_works(
        self, endless: Any, uncertainty: Any, until: Until
    ) -> None:
        self.start(endless, until)
        endless.onReload()
        again = uncertainty.widget
        assert again is not endless
        choose(again, "dropout")
        again.ui.samplesBox.value = 2
        assert run(again, until) is not None

    def test_a_job_goes_on_while_the_module_is_left(
        self, panel: Any, uncertainty: Any, until: Until, views: Any
    ) -> None:
        before = pixels(views)
        panel.ui.applyButton.click()
        uncertainty.leave()
        until(idle(panel))
        (node,) = cases()
        assert not node.GetDisplayNode() or not panel.ui.showButton.checked
        assert slicer.util.getNodesByClass("vtkMRMLColorLegendDisplayNode") == []
        node.GetDisplayNode().SetVisibility(False)
        assert np.array_equal(pixels(views)[0], before[0])
        panel = uncertainty.open()
        panel.ui.resultSelector.setCurrentNode(node)
        assert panel.ui.regionTable.rowCount > 0
        assert panel.ui.showButton.enabled


@pytest.mark.parametrize("what", ["map", "volume", "result"])
def test_deleting_what_is_shown_leaves_the_views(panel: Any, until: Until, what: str) -> None:
    node = run(panel, until)
    nodes = UncertaintyNodes(node)
    gone = {"map": nodes.maps["predictive_entropy"], "volume": nodes.source, "result": node}[what]
    slicer.mrmlScene.RemoveNode(gone)
    assert not panel.ui.showButton.checked
    assert slicer.util.getNodesByClass("vtkMRMLColorLegendDisplayNode") == []
