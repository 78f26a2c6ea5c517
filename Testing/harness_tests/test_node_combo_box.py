"""The stand-in of qMRMLNodeComboBox has the surprises of the real one."""

from typing import Any

import pytest

from harness import needed

needed.core()
needed.qt()

import slicer  # noqa: E402

TEXT = "vtkMRMLTextNode"


@pytest.fixture
def box(desktop: Any) -> Any:
    made = slicer.qMRMLNodeComboBox()
    made.nodeTypes = [TEXT]
    made.addEnabled = made.removeEnabled = False
    yield made
    made.setMRMLScene(None)


@pytest.fixture
def announced(box: Any) -> list[str | None]:
    names: list[str | None] = []
    box.connect("currentNodeChanged(vtkMRMLNode*)", lambda node: names.append(node and node.GetName()))
    return names


def text(name: str, kind: str = TEXT) -> Any:
    return slicer.mrmlScene.AddNewNodeByClass(kind, name)


def test_it_is_disabled_until_a_scene_is_set(box: Any) -> None:
    assert not box.enabled
    box.setMRMLScene(slicer.mrmlScene)
    assert box.enabled
    assert box.mrmlScene() is slicer.mrmlScene


def test_without_menu_and_none_a_later_node_is_selected(box: Any, announced: list[str | None]) -> None:
    box.setMRMLScene(slicer.mrmlScene)
    text("a")
    text("b")
    assert box.currentNode().GetName() == "a"
    assert announced[-1] == "a"


@pytest.mark.parametrize("enabled", ["addEnabled", "removeEnabled", "editEnabled", "renameEnabled", "noneEnabled"])
def test_with_any_menu_entry_or_none_it_is_not(box: Any, enabled: str) -> None:
    setattr(box, enabled, True)
    box.setMRMLScene(slicer.mrmlScene)
    text("a")
    assert box.currentNode() is None
    assert box.nodeCount() == 1


def test_removing_the_current_node_selects_the_row_before(box: Any, announced: list[str | None]) -> None:
    box.noneEnabled = True
    box.setMRMLScene(slicer.mrmlScene)
    nodes = [text(name) for name in "abc"]
    box.setCurrentNode(nodes[1])
    slicer.mrmlScene.RemoveNode(nodes[1])
    assert box.currentNode() is nodes[0]
    slicer.mrmlScene.RemoveNode(nodes[0])
    assert box.currentNode() is None
    assert announced[-3:] == ["b", "a", None]


def test_renaming_the_current_node_announces_it_again(box: Any, announced: list[str | None]) -> None:
    box.setMRMLScene(slicer.mrmlScene)
    node = text("a")
    node.SetName("z")
    assert announced[-2:] == ["a", "z"]


def test_setting_the_scene_announces_none(box: Any, announced: list[str | None]) -> None:
    box.noneEnabled = True
    box.setMRMLScene(slicer.mrmlScene)
    assert announced == [None]


def test_a_node_set_before_the_scene_is_kept(box: Any) -> None:
    node = text("a")
    box.setCurrentNode(node)
    box.setMRMLScene(slicer.mrmlScene)
    assert box.currentNode() is node


def test_only_fitting_nodes_are_listed(box: Any) -> None:
    box.setMRMLScene(slicer.mrmlScene)
    hidden = text("hidden")
    hidden.SetHideFromEditors(1)
    hidden.Modified()
    text("other", "vtkMRMLTableNode")
    with_attribute = text("with")
    with_attribute.SetAttribute("kind", "note")
    text("without")
    assert box.nodeCount() == 2
    box.addAttribute(TEXT, "kind", "note")
    assert (box.nodeCount(), box.nodeFromIndex(0)) == (1, with_attribute)


def test_closing_the_scene_empties_it(box: Any, announced: list[str | None]) -> None:
    box.setMRMLScene(slicer.mrmlScene)
    text("a")
    slicer.mrmlScene.Clear(0)
    assert (box.currentNode(), box.nodeCount(), announced[-1]) == (None, 0, None)


def test_a_new_node_is_made_named_and_selected(box: Any) -> None:
    box.baseName = "Note"
    box.setMRMLScene(slicer.mrmlScene)
    assert box.addNode() is box.currentNode()
    assert box.currentNode().GetName() == "Note"
