"""What passes in PySide thinking and fails in Slicer fails here too."""

import functools
import sys
import time
from typing import Any

import pytest

from harness import needed

needed.core()
needed.qt()

from harness.not_simulated import NotSimulated  # noqa: E402
from harness.pythonqt import dialogs, faults  # noqa: E402
from harness.pythonqt.install import ctk, qt  # noqa: E402


def pushed(button: Any) -> None:
    button.click()


def _keep(seen: list[str]) -> None:
    seen.append("kept")


def test_a_partial_on_clicked_gets_the_bool_too_and_only_the_console_hears_of_it() -> None:
    button, seen = qt.QPushButton(), []
    assert button.clicked.connect(functools.partial(_keep, seen))
    with faults.expected(faults.EXCEPTION, "TypeError"):
        pushed(button)
    assert seen == []


def test_a_default_argument_is_filled_by_the_signal() -> None:
    button, seen = qt.QPushButton(), []
    button.clicked.connect(lambda i=7: seen.append(i))
    pushed(button)
    assert seen == [False]


def test_the_signature_without_arguments_passes_none() -> None:
    button, seen = qt.QPushButton(), []
    assert button.connect("clicked()", lambda *given: seen.append(given))
    pushed(button)
    assert seen == [()]


def test_a_wrong_signature_is_a_fault_and_no_exception() -> None:
    with faults.expected(faults.CONNECT, "clicked(QString)"):
        assert qt.QPushButton().connect("clicked(QString)", print) is False


@pytest.mark.parametrize("name", ["setRange", "setMinimum", "setMaximum", "setSingleStep", "setSuffix"])
def test_setters_that_are_no_slots_do_not_exist_on_a_slider(name: str) -> None:
    assert not hasattr(ctk.ctkSliderWidget(), name)
    assert not hasattr(ctk.ctkDoubleSpinBox(), name)


def test_further_setters_that_are_no_slots_do_not_exist() -> None:
    import slicer

    from harness.pythonqt.install import mrml_widgets

    mrml_widgets.into_slicer()
    assert not hasattr(slicer.qMRMLNodeComboBox(), "setNodeTypes")
    assert not hasattr(slicer.qMRMLNodeComboBox(), "setNoneEnabled")
    assert not hasattr(ctk.ctkPathLineEdit(), "setFilters")
    assert not hasattr(ctk.ctkCollapsibleButton(), "setCollapsed")


@pytest.mark.parametrize("make", [qt.QLabel, ctk.ctkSliderWidget, qt.QColor])
def test_new_attributes_on_native_objects_are_refused(make: Any) -> None:
    with pytest.raises(AttributeError):
        make().mine = 1


def test_a_subclass_may_not_hide_a_slot() -> None:
    class Panel(qt.QWidget):
        pass

    panel = Panel()
    panel.mine = 1
    with pytest.raises(AttributeError):
        panel.update = 1
    assert panel.mine == 1


def test_a_real_member_without_stand_in_is_told_from_a_misspelt_one() -> None:
    slider = ctk.ctkSliderWidget()
    with pytest.raises(NotSimulated):
        slider.spinBox  # noqa: B018
    with pytest.raises(AttributeError):
        slider.spinBoks  # noqa: B018
    with pytest.raises(NotSimulated):
        ctk.ctkMessageBox  # noqa: B018
    with pytest.raises(AttributeError):
        ctk.ctkMesageBox  # noqa: B018


def test_an_unanswered_dialog_is_a_fault() -> None:
    with faults.expected(faults.DIALOG, "Overwrite?"):
        assert qt.QMessageBox.question(None, "Title", "Overwrite?") == 0
    with faults.expected(faults.DIALOG, "QFileDialog.getOpenFileName"):
        assert qt.QFileDialog.getOpenFileName(None, "Open") == ""
    with faults.expected(faults.DIALOG, "QMessageBox"):
        qt.QMessageBox().exec_()


def test_a_dialog_gets_the_answer_the_test_gives() -> None:
    with dialogs.answer("QMessageBox.question", qt.QMessageBox.Yes) as shown:
        assert qt.QMessageBox.question(None, "Title", "Overwrite?") == qt.QMessageBox.Yes
    assert shown == ["Title Overwrite?"]
    with pytest.raises(AssertionError, match="was not opened"), dialogs.answer("QMessageBox.question", 0):
        pass


def test_an_exception_in_a_slot_is_recorded_once_with_its_traceback() -> None:
    button = qt.QPushButton()
    button.connect("clicked()", lambda: 1 / 0)
    pushed(button)
    (fault,) = faults.taken()
    assert (fault.kind, "ZeroDivisionError" in fault.what) == (faults.EXCEPTION, True)


def test_an_exception_in_a_vtk_observer_is_recorded() -> None:
    import slicer

    node = slicer.vtkMRMLTextNode()
    node.AddObserver("ModifiedEvent", lambda *_: 1 / 0)
    with faults.expected(faults.EXCEPTION, "ZeroDivisionError"):
        node.Modified()


def test_an_exception_in_a_timer_is_recorded() -> None:
    from harness import desktop

    qt.QTimer.singleShot(0, lambda: 1 / 0)
    with faults.expected(faults.EXCEPTION, "ZeroDivisionError"):
        desktop.process_events(20)


def test_a_timer_that_has_rung_is_forgotten() -> None:
    from harness import desktop
    from harness.pythonqt import signals

    before, rung = len(signals._connections), []
    qt.QTimer.singleShot(0, lambda: rung.append(1))
    assert len(signals._connections) == before + 1
    desktop.process_events(20)
    desktop.process_events(1)
    assert (rung, len(signals._connections)) == ([1], before)


def test_a_process_tells_its_end_with_an_int() -> None:
    from harness import desktop

    process, ended = qt.QProcess(), []
    assert process.connect("finished(int,QProcess::ExitStatus)", lambda code, status: ended.append((code, status)))
    process.setProgram(sys.executable)
    process.setArguments(["-c", "raise SystemExit(3)"])
    process.start()
    deadline = time.monotonic() + 30
    while not ended and time.monotonic() < deadline:
        desktop.process_events(20)
    assert ended == [(3, 0)]
    assert not hasattr(ended[0][1], "name")


def test_objects_sent_by_python_arrive_as_they_are() -> None:
    class Sender(qt.QObject):
        sent = qt.Signal(object)

    sender, got, item = Sender(), [], {"a": [1, 2]}
    sender.sent.connect(got.append)
    sender.sent.emit(item)
    assert got[0] is item


def test_a_fault_that_does_not_come_fails_the_expectation() -> None:
    with pytest.raises(AssertionError), faults.expected(faults.EXCEPTION):
        pass


def test_connections_of_a_destroyed_sender_are_forgotten() -> None:
    from harness.pythonqt import signals

    before = len(signals._connections)
    button = qt.QPushButton()
    button.connect("clicked()", print)
    assert len(signals._connections) == before + 1
    button.delete()
    assert len(signals._connections) == before
