"""Manual Correction: the real module file, worker, journal, nodes and undo; the panel is an emulation."""

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import SimpleITK as sitk

from harness import needed

needed.core()
needed.qt()
needed.graphics()

import slicer  # noqa: E402
import vtk  # noqa: E402

from correction_phantom import (  # noqa: E402
    LESION,
    MATRICES,
    NEIGHBOUR,
    START,
    TRUTH,
    TURN,
    VESSEL,
    Mouse,
    SliceWidget,
    ball,
    brush,
    click,
    clicking_effect,
    dice,
    head,
    lesion,
    matrix,
    on_the_desk,
    segmented,
    vessel,
    world,
)
from harness.layout import four_up  # noqa: E402
from medseg.correction.folder import SessionFolder  # noqa: E402
from medseg.correction.summary import summarise  # noqa: E402
from medseg.geometry import Geometry, resample  # noqa: E402
from medseg.mrml.segment_layout import mask_of  # noqa: E402
from medseg.mrml.segmentations import show  # noqa: E402
from medseg.mrml.volumes import grid_of_volume  # noqa: E402
from medseg.segmentation import Segmentation  # noqa: E402


def test_without_a_segmentation_nothing_can_be_done(correction: Any, scene: Any) -> None:
    ui = correction.open().ui
    for name in ("positive", "negative", "box", "scribble", "lasso", "accept", "undo", "clean", "parts", "sign"):
        assert not getattr(ui, f"{name}Button").enabled, name


def test_a_click_is_previewed_and_changes_nothing_until_it_is_accepted(case: Any, until: Any) -> None:
    click(case, (10, 18, 18), until)
    assert np.array_equal(lesion(case), START)
    preview = slicer.mrmlScene.GetFirstNodeByName("MedSeg preview")
    assert preview.GetSegmentation().GetNumberOfSegments() == 2
    assert case.ui.acceptButton.enabled
    case.ui.acceptButton.click()
    assert dice(lesion(case), TRUTH) > 0.95
    assert slicer.mrmlScene.GetFirstNodeByName("MedSeg preview") is None
    assert not case.ui.acceptButton.enabled


def test_a_refused_proposal_leaves_no_trace_and_the_engine_forgets_it(case: Any, until: Any) -> None:
    click(case, (10, 18, 18), until)
    case.ui.rejectButton.click()
    assert np.array_equal(lesion(case), START)
    assert slicer.mrmlScene.GetFirstNodeByName("MedSeg preview") is None
    click(case, (30, 30, 30), until, positive=False)  # disputes nothing
    assert not case.ui.acceptButton.enabled


def test_several_prompts_add_up_in_one_proposal(case: Any, until: Any) -> None:
    click(case, (10, 18, 18), until)
    click(case, (24, 18, 18), until, positive=False)
    case.ui.acceptButton.click()
    assert not lesion(case)[18, 18, 24]
    assert lesion(case)[18, 18, 11]
    assert case.panel.desk.folder.session.log[-1].prompt.positive is False
    assert len(case.panel.desk.folder.session.log) == 1


def test_accepting_at_once_needs_no_preview(case: Any, until: Any) -> None:
    case.ui.atOnceBox.checked = True
    click(case, (10, 18, 18), until)
    assert dice(lesion(case), TRUTH) > 0.95


@pytest.mark.parametrize("kind", sorted(MATRICES))
@pytest.mark.parametrize("moved", [False, True], ids=["", "under a transform"])
def test_a_click_lands_where_it_was_made_in_every_geometry(
    correction: Any, scene: Any, until: Any, kind: str, moved: bool
) -> None:
    volume = head(kind)
    if moved:
        transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
        transform.SetMatrixTransformToParent(matrix(TURN))
        volume.SetAndObserveTransformNodeID(transform.GetID())
    widget = correction.open()
    widget.volume, widget.node = volume, segmented(volume)
    widget.edit(widget.node)
    click(widget, (10, 18, 18), until)
    widget.ui.acceptButton.click()
    assert dice(lesion(widget), TRUTH) > 0.95
    assert np.array_equal(vessel(widget), NEIGHBOUR)


def test_a_neighbour_protected_by_masking_has_not_one_voxel_changed(case: Any, until: Any) -> None:
    editor = case.panel.editor.node
    editor.SetOverwriteMode(slicer.vtkMRMLSegmentEditorNode.OverwriteNone)
    editor.SetMaskMode(slicer.vtkMRMLSegmentationNode.EditAllowedOutsideAllSegments)
    click(case, (10, 18, 18), until)
    case.ui.acceptButton.click()
    brush(case, ball((8, 18, 18), 6))
    assert np.array_equal(vessel(case), NEIGHBOUR)
    assert not (lesion(case) & NEIGHBOUR).any()


def test_every_accepted_edit_and_every_stroke_is_in_the_journal(case: Any, until: Any, desktop: Any) -> None:
    click(case, (10, 18, 18), until)
    case.ui.acceptButton.click()
    case.panel.editor.node.SetActiveEffectName("Paint")
    brush(case, ball((28, 28, 28), 3))
    desktop.process_events(5)
    read = SessionFolder.read(case.panel.desk.folder.path)
    assert [change.tool for change in read.changes] == ["MedSeg geodesic", "Paint"]
    assert [change.author for change in read.changes] == ["reader one"] * 2
    mask = read.session.segmentation
    assert np.array_equal(mask.mask(mask.segment("Lesion")), lesion(case))


def test_a_new_segment_and_one_that_overlaps_are_kept_as_well(case: Any, desktop: Any) -> None:
    case.node.GetSegmentation().AddEmptySegment("cyst", "Cyst")
    desktop.process_events(5)
    case.panel.editor.select("cyst")
    case.panel.editor.node.SetOverwriteMode(slicer.vtkMRMLSegmentEditorNode.OverwriteNone)
    brush(case, ball((20, 18, 18), 3))
    desktop.process_events(5)
    read = SessionFolder.read(case.panel.desk.folder.path)
    mask = read.session.segmentation
    assert np.array_equal(mask.mask(mask.segment("Lesion")), START)
    assert np.array_equal(mask.mask(mask.segment("Cyst")), ball((20, 18, 18), 3))
    assert {one.name: one.added_voxels for one in summarise(read).segments}["Cyst"] == ball((20, 18, 18), 3).sum()


def test_after_a_crash_the_session_is_offered_and_recovered(
    case: Any, correction: Any, until: Any, desktop: Any
) -> None:
    brush(case, ball((28, 28, 28), 3))
    desktop.process_events(5)
    wanted = lesion(case)
    case.panel.clear()
    slicer.mrmlScene.RemoveNode(case.node)
    case.node = segmented(case.volume)
    case.edit(case.node)
    assert "Recover takes them up" in case.ui.statusLabel.text
    assert np.array_equal(lesion(case), START)
    case.ui.recoverButton.click()
    assert np.array_equal(lesion(case), wanted)
    brush(case, ball((6, 6, 6), 2))
    desktop.process_events(5)
    assert len(case.panel.desk.folder.changes) == 2


def test_what_the_scene_holds_already_is_not_offered(case: Any, desktop: Any) -> None:
    brush(case, ball((28, 28, 28), 3))
    desktop.process_events(5)
    case.panel.clear()
    case.panel.choose()
    assert "Recover" not in case.ui.statusLabel.text


def test_a_session_open_in_another_window_is_refused(case: Any, desktop: Any) -> None:
    brush(case, ball((28, 28, 28), 3))
    desktop.process_events(5)
    path = case.panel.desk.folder.path
    case.panel.clear()
    with SessionFolder.open(path, "another window"):
        case.panel.choose()
        before, own = lesion(case), case.panel.desk.folder.path
        case.ui.recoverButton.click()
        assert "open in another window" in case.ui.statusLabel.text
        assert np.array_equal(lesion(case), before)
        assert case.panel.desk.folder.path == own != path


def test_a_read_only_folder_is_told_and_editing_goes_on(
    correction: Any, scene: Any, tmp_path: Path, desktop: Any
) -> None:
    folder = Path("/proc/medseg") if os.geteuid() == 0 else tmp_path / "closed"  # root may write everywhere else
    if os.geteuid() != 0:
        folder.mkdir(mode=0o500)
    _without_sessions(correction, str(folder), desktop)


def test_a_place_that_is_no_folder_is_told_and_editing_goes_on(
    correction: Any, scene: Any, tmp_path: Path, desktop: Any
) -> None:
    (tmp_path / "file").write_text("")
    _without_sessions(correction, str(tmp_path / "file"), desktop)


def _without_sessions(correction: Any, folder: str, desktop: Any) -> None:
    widget = correction.open()
    widget.ui.sessionFolder.currentPath = folder
    widget.volume = head()
    widget.node = segmented(widget.volume)
    widget.edit(widget.node)
    assert "Changes are not kept on disk" in widget.ui.statusLabel.text
    brush(widget, ball((28, 28, 28), 3))
    desktop.process_events(5)
    assert lesion(widget)[28, 28, 28]
    widget.ui.undoButton.click()
    assert np.array_equal(lesion(widget), START)


def test_a_full_disk_is_told_and_nothing_is_lost(case: Any, desktop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    from medseg.correction import journal

    def full(*_arguments: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    real = journal.Journal.append
    monkeypatch.setattr(journal.Journal, "append", full)
    brush(case, ball((28, 28, 28), 3))
    desktop.process_events(5)
    assert "No space left" in case.ui.statusLabel.text
    assert case.panel.desk.folder.unsaved == 1
    monkeypatch.setattr(journal.Journal, "append", real)
    brush(case, ball((6, 6, 6), 3))
    desktop.process_events(5)
    assert len(SessionFolder.read(case.panel.desk.folder.path).changes) == 2


def test_a_correction_of_one_slice_is_carried_on(case: Any, until: Any, desktop: Any) -> None:
    stroke = np.zeros_like(TRUTH)
    stroke[18] = TRUTH[18] & ~START[18]
    brush(case, stroke)
    desktop.process_events(5)
    before = dice(lesion(case), TRUTH)
    case.ui.propagateButton.click()
    until(lambda: case.panel.desk.proposing)
    case.ui.acceptButton.click()
    assert dice(lesion(case), TRUTH) > before + 0.05
    assert lesion(case)[stroke].all()


def test_a_clean_up_is_a_proposal_like_others(case: Any, desktop: Any) -> None:
    brush(case, ball((30, 30, 30), 2))
    brush(case, ball((20, 18, 18), 2), add=False)
    desktop.process_events(5)
    case.ui.largestBox.checked = True
    case.ui.cleanButton.click()
    assert case.ui.acceptButton.enabled
    case.ui.acceptButton.click()
    assert np.array_equal(lesion(case), START)


@pytest.mark.parametrize("grid", ["coarser", "shifted", "a part"])
def test_a_mask_on_another_grid_than_the_image_is_corrected_on_the_voxels_of_the_image(
    correction: Any, scene: Any, until: Any, grid: str
) -> None:
    volume = head()
    fine = grid_of_volume(volume)
    own = {
        "coarser": fine.resized((20, 20, 20)),
        "shifted": fine.crop((0.4, 0.3, 0.2), (36, 36, 36)),
        "a part": fine.crop((4, 4, 4), (28, 28, 28)),
    }[grid]
    whole = fine.image(np.where(START, 1, NEIGHBOUR * 2).astype(np.uint8))
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "AI result")
    show(Segmentation(resample(whole, own, sitk.sitkNearestNeighbor), (LESION, VESSEL)), node, volume)
    widget = on_the_desk(correction, volume, node)
    before, neighbour = lesion(widget), vessel(widget)
    click(widget, (11, 18, 18), until)
    wanted = widget.panel.desk._proposed[0].after
    expected = before.copy()
    expected[fine.slices_of(Geometry.of(wanted))] = sitk.GetArrayFromImage(wanted) > 0
    widget.ui.acceptButton.click()
    assert (expected & ~before).any()
    assert np.array_equal(lesion(widget), expected)
    assert np.array_equal(vessel(widget), neighbour)
    widget.ui.undoButton.click()
    assert np.array_equal(lesion(widget), before)


def test_an_empty_segment_is_a_beginning_and_tools_that_need_voxels_say_so(
    correction: Any, scene: Any, until: Any
) -> None:
    volume = head()
    widget = on_the_desk(correction, volume, segmented(volume, np.zeros_like(START)))
    widget.ui.cleanButton.click()
    assert "the segment is empty" in widget.ui.statusLabel.text
    widget.node.GetSegmentation().RemoveSegment("vessel")
    widget.ui.partsButton.click()
    assert "There is nothing to review" in widget.ui.statusLabel.text
    click(widget, (18, 18, 18), until)
    widget.ui.acceptButton.click()
    assert dice(lesion(widget), TRUTH) > 0.95


def test_parts_are_reviewed_one_after_the_other(case: Any, application: Any, desktop: Any) -> None:
    with four_up(application, (120, 120)) as views:
        brush(case, ball((30, 30, 30), 2))
        desktop.process_events(5)
        case.ui.partsButton.click()
        assert case.ui.queueTable.rowCount == 3
        case.ui.nextButton.click()
        assert lesion(case)[tuple(_index_at(views, case)[::-1])]
        case.ui.doneButton.click()
        assert case.panel.review.queue.current == 1
        case.ui.flagButton.click()
        case.ui.doneButton.click()
        statuses = [_status(case.node, key) for key in ("lesion", "vessel")]
        assert statuses == [3, 2]
        assert case.ui.queueLabel.text.startswith("0 of 3")
        case.panel.clear()
        case.panel.choose()
        assert case.panel.review.queue.left == 0  # kept with the scene


def _index_at(views: Any, widget: Any) -> list[int]:
    to_index, slices = vtk.vtkMatrix4x4(), views.slices
    widget.volume.GetRASToIJKMatrix(to_index)
    place = slices["Red"].node.GetSliceToRAS()
    return [round(x) for x in to_index.MultiplyPoint([place.GetElement(n, 3) for n in range(3)] + [1.0])[:3]]


def _status(node: Any, key: str) -> int:
    return int(slicer.vtkSlicerSegmentationsModuleLogic.GetSegmentStatus(node.GetSegmentation().GetSegment(key)))


def test_what_changed_and_the_mask_as_it_was_are_shown_and_go_without_trace(case: Any, desktop: Any) -> None:
    nodes = slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode")
    brush(case, ball((28, 28, 28), 3))
    desktop.process_events(5)
    case.panel.refresh()
    case.ui.changedButton.click()
    changed = slicer.mrmlScene.GetFirstNodeByName("What changed")
    added = changed.GetSegmentation().GetSegmentIdBySegmentName("Added")
    assert np.array_equal(mask_of(changed, added, case.volume), ball((28, 28, 28), 3))
    case.ui.compareButton.click()
    assert not case.node.GetDisplayNode().GetVisibility()
    was = slicer.mrmlScene.GetFirstNodeByName("As it was")
    assert np.array_equal(mask_of(was, "lesion", case.volume), START)
    case.ui.compareButton.click()
    case.ui.changedButton.click()
    assert case.node.GetDisplayNode().GetVisibility()
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == nodes


def test_a_second_reader_reads_blind_and_sees_the_agreement_once_signed(case: Any, desktop: Any) -> None:
    brush(case, ball((28, 28, 28), 3))
    desktop.process_events(5)
    case.ui.commentEdit.setText("as I see it")
    case.ui.signButton.click()
    first = case.panel.desk.folder.path
    assert SessionFolder.read(first).signatures[0].comment == "as I see it"
    case.ui.readerEdit.setText("reader two")
    case.ui.readerEdit.editingFinished.emit()
    case.panel.sessions._look()
    case.panel.refresh()
    case.ui.secondButton.click()
    assert np.array_equal(lesion(case), START)  # not what the first reader made of it
    case.ui.signButton.click()
    signed = SessionFolder.read(case.panel.desk.folder.path).signatures[0]
    assert (signed.author, signed.blind) == ("reader two", True)
    expected = dice(START, START | ball((28, 28, 28), 3))
    assert signed.agreement["Lesion"]["dice"] == pytest.approx(expected)
    assert case.ui.agreementLabel.text.startswith(f"Lesion: Dice {expected:.3f}")


def test_a_dead_worker_is_started_anew_and_the_click_is_answered(case: Any, until: Any) -> None:
    from medseg.desktop.shared_worker import shared_worker

    click(case, (10, 18, 18), until)
    dead = psutil.Process(shared_worker().pid)
    os.kill(dead.pid, signal.SIGTERM)
    dead.wait(10)
    case.ui.rejectButton.click()
    click(case, (10, 18, 18), until)
    case.ui.acceptButton.click()
    assert dice(lesion(case), TRUTH) > 0.95


def test_a_click_outside_of_the_volume_is_told(case: Any, until: Any) -> None:
    click(case, (80, 18, 18), until)
    assert "outside the image" in case.ui.statusLabel.text
    assert np.array_equal(lesion(case), START)


@pytest.mark.parametrize("how", ["leave", "delete the segmentation", "delete the volume", "close", "unload"])
def test_whatever_ends_it_tools_previews_and_locks_are_gone(case: Any, correction: Any, until: Any, how: str) -> None:
    click(case, (10, 18, 18), until)
    path = case.panel.desk.folder.path
    endings = {
        "leave": correction.leave,
        "delete the segmentation": lambda: slicer.mrmlScene.RemoveNode(case.node),
        "delete the volume": lambda: slicer.mrmlScene.RemoveNode(case.volume),
        "close": lambda: slicer.mrmlScene.Clear(0),
        "unload": correction.unload,
    }
    endings[how]()
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLMarkupsFiducialNode") == 0
    if how == "leave":  # the session goes on
        assert case.panel.desk.folder.path == path
        return
    assert slicer.mrmlScene.GetFirstNodeByName("MedSeg preview") is None
    SessionFolder.open(path, "somebody else").close()


def test_box_scribble_and_lasso_are_taken_from_markups(case: Any, until: Any) -> None:
    interaction = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLInteractionNode")
    case.ui.scribbleButton.click()
    node = case.panel.tools.node
    for i in (9, 11, 13):
        node.AddControlPointWorld(world(case, (i, 18, 18)))
    assert not case.panel.runner.busy
    interaction.SwitchToViewTransformMode()  # as the right click does
    until(lambda: case.panel.desk.proposing)
    case.ui.acceptButton.click()
    assert dice(lesion(case), TRUTH) > 0.9
    assert interaction.GetCurrentInteractionMode() == interaction.Place  # ready for the next one
    case.ui.scribbleButton.click()
    assert interaction.GetCurrentInteractionMode() != interaction.Place


def test_the_effect_in_the_segment_editor_clicks_with_the_same_engine(case: Any, until: Any, application: Any) -> None:
    effect = clicking_effect(case)
    with four_up(application, (200, 200)) as views:
        place = world(case, (10, 18, 18))
        view = views.slices["Red"]
        view.show(case.volume)
        view.node.JumpSliceByCentering(*place)
        assert effect.processInteractionEvents(
            Mouse(view, place), vtk.vtkCommand.LeftButtonPressEvent, SliceWidget(view)
        )
        until(lambda: not effect.clicks._runner.busy)
    assert dice(lesion(case), TRUTH) > 0.95
    case.ui.undoButton.click()
    assert np.array_equal(lesion(case), START)
    effect.deactivate()


def test_the_modules_own_test_passes(correction: Any, scene: Any) -> None:
    correction.open()
    correction.module.runTest()
