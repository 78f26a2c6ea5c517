"""Stand-in for qMRMLNodeComboBox, with its surprises.

With noneEnabled off a node that arrives later is selected only where add, remove, edit and rename are all off;
removing the current node selects the row before it; renaming it announces it again; setting the scene may announce
None; without a scene it is disabled.
"""

import functools
from typing import Any, ClassVar

import shiboken6
import slicer
import vtk
from PySide6 import QtWidgets

from harness.pythonqt.stand_ins import Signal, computed, kept, stand_in, state

_SCENE_EVENTS = ("NodeAddedEvent", "NodeRemovedEvent", "EndCloseEvent", "EndImportEvent", "EndBatchProcessEvent")


@stand_in("""addMenuAction editCurrentNode interactionNodeSingletonTag nodeTypeLabel renameCurrentNode setNodeTypeLabel
             sizeAdjustPolicy sortFilterProxyModel""")
class qMRMLNodeComboBox(QtWidgets.QWidget):
    """Chooses a node of the scene."""

    cpp_signals: ClassVar = {
        "currentNodeChanged": ("currentNodeChanged(vtkMRMLNode*)", "currentNodeChanged(bool)"),
        "nodeAdded": ("nodeAdded(vtkMRMLNode*)",),
        "nodeAddedByUser": ("nodeAddedByUser(vtkMRMLNode*)",),
        "nodeActivated": ("nodeActivated(vtkMRMLNode*)",),
        "nodeAboutToBeRemoved": ("nodeAboutToBeRemoved(vtkMRMLNode*)",),
    }
    currentNodeChanged = Signal(object)
    currentNodeIDChanged = Signal(str)
    nodeAdded = Signal(object)
    nodeAddedByUser = Signal(object)
    nodeActivated = Signal(object)
    nodeAboutToBeRemoved = Signal(object)

    nodeTypes = kept("QStringList", "nodeTypes", (), "_refill")
    hideChildNodeTypes = kept("QStringList", "hideChildNodeTypes", (), "_refill")
    showHidden = kept(bool, "showHidden", False, "_refill")
    showChildNodeTypes = kept(bool, "showChildNodeTypes", True, "_refill")
    noneEnabled = kept(bool, "noneEnabled", False, "_refill")
    noneDisplay = kept(str, "noneDisplay", "None", "_refill")
    addEnabled = kept(bool, "addEnabled", True)
    removeEnabled = kept(bool, "removeEnabled", True)
    editEnabled = kept(bool, "editEnabled", False)
    renameEnabled = kept(bool, "renameEnabled", False)
    selectNodeUponCreation = kept(bool, "selectNodeUponCreation", True)
    baseName = kept(str, "baseName", "")

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        box = QtWidgets.QComboBox(self)
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(box)
        inside = {"box": box, "scene": None, "ids": [], "names": [], "current": "", "filling": False}
        state(self).update(inside, tags=[], watched={}, attributes=[], wanted="")
        self.enabled = False
        box.connect("currentIndexChanged(int)", self._chosen)
        self.connect("destroyed()", functools.partial(_forget, state(self)))

    def mrmlScene(self) -> Any:
        return state(self)["scene"]

    def setMRMLScene(self, scene: Any) -> None:
        inside = state(self)
        if scene is inside["scene"]:
            return
        _forget(inside)
        inside["scene"] = scene
        if scene is not None:
            for event in _SCENE_EVENTS:
                inside["tags"].append(scene.AddObserver(getattr(slicer.vtkMRMLScene, event), self._on_scene))
        self.enabled = scene is not None
        wanted = inside["wanted"] or inside["current"]
        self._fill()
        self._select(wanted)
        if not inside["current"]:
            self._announce()

    def currentNode(self) -> Any:
        inside = state(self)
        return inside["scene"].GetNodeByID(inside["current"]) if inside["scene"] and inside["current"] else None

    def _current_id(self) -> str:
        return str(state(self)["current"])

    def setCurrentNodeID(self, node_id: str) -> None:
        if state(self)["scene"] is None:
            state(self)["wanted"] = node_id
        self._select(node_id)

    currentNodeID = computed(str, _current_id, setCurrentNodeID)
    currentNodeId = computed(str, _current_id, setCurrentNodeID)

    def setCurrentNode(self, node: Any) -> None:
        """Take a node, the ID of one, or None."""
        if node is not None and not isinstance(node, str | vtk.vtkObjectBase):
            raise ValueError(f"Called setCurrentNode with wrong arguments: {node!r}")
        self.setCurrentNodeID(node if isinstance(node, str) else node.GetID() or "" if node else "")

    def setCurrentNodeIndex(self, index: int) -> None:
        ids = state(self)["ids"]
        self._select(ids[index] if 0 <= index < len(ids) else "")

    def nodeCount(self) -> int:
        return len(state(self)["ids"])

    def nodeFromIndex(self, index: int) -> Any:
        ids = state(self)["ids"]
        return state(self)["scene"].GetNodeByID(ids[index]) if 0 <= index < len(ids) else None

    def addAttribute(self, node_type: str, name: str, value: Any = None) -> None:
        state(self)["attributes"].append((node_type, name, None if value is None else str(value)))
        self._refill()

    def removeAttribute(self, node_type: str, name: str) -> None:
        kept_ones = [one for one in state(self)["attributes"] if one[:2] != (node_type, name)]
        state(self)["attributes"] = kept_ones
        self._refill()

    def addNode(self, node_type: str = "") -> Any:
        """Make a node as the menu does; what is new is selected where selectNodeUponCreation is on."""
        kind = node_type or self.nodeTypes[0]
        scene = state(self)["scene"]
        base = self.baseName or scene.GetTagByClassName(kind)
        node = scene.AddNewNodeByClass(kind, scene.GenerateUniqueName(base))
        self.nodeAddedByUser.emit(node)
        if self.selectNodeUponCreation:
            self.setCurrentNode(node)
        return node

    def removeCurrentNode(self) -> None:
        if (node := self.currentNode()) is not None:
            state(self)["scene"].RemoveNode(node)

    def _on_scene(self, scene: Any, event: str) -> None:
        if shiboken6.isValid(self):
            self._refill()

    def _refill(self) -> None:
        """Follow the scene: keep the current node, or take the row before it where it is gone."""
        inside = state(self)
        before, current, name = list(inside["ids"]), inside["current"], self._name_of_current()
        self._fill()
        arrived = [node_id for node_id in inside["ids"] if node_id not in before]
        for node_id in arrived:
            self.nodeAdded.emit(inside["scene"].GetNodeByID(node_id))
        if current and current not in inside["ids"]:
            self._select(self._row_before(before, current))
        elif arrived and not current and not self.noneEnabled and not self._has_menu():
            self._select(arrived[0])
        else:
            self._show()
            if current and name != self._name_of_current():
                self._announce()

    def _row_before(self, before: list[str], gone: str) -> str:
        rows = [""] * self.noneEnabled + [one for one in before if one in state(self)["ids"] or one == gone]
        place = rows.index(gone)
        return rows[place - 1] if place else [*rows, ""][1]

    def _has_menu(self) -> bool:
        return bool(self.addEnabled or self.removeEnabled or self.editEnabled or self.renameEnabled)

    def _name_of_current(self) -> str:
        inside = state(self)
        return dict(zip(inside["ids"], inside["names"], strict=True)).get(inside["current"], "")

    def _fill(self) -> None:
        inside = state(self)
        scene = inside["scene"]
        nodes = [scene.GetNthNode(n) for n in range(scene.GetNumberOfNodes())] if scene else []
        fitting = [node for node in nodes if self._fits(node)]
        inside["ids"] = [node.GetID() for node in fitting]
        inside["names"] = [node.GetName() or "" for node in fitting]
        for node in fitting:
            if node.GetID() not in inside["watched"]:
                tag = node.AddObserver(vtk.vtkCommand.ModifiedEvent, self._on_node)
                inside["watched"][node.GetID()] = (node, tag)

    def _on_node(self, node: Any, event: str) -> None:
        if shiboken6.isValid(self) and node.GetID() in state(self)["ids"]:
            known = dict(zip(state(self)["ids"], state(self)["names"], strict=True))
            if known[node.GetID()] != node.GetName() or not self._fits(node):
                self._refill()

    def _fits(self, node: Any) -> bool:
        kinds = [kind for kind in self.nodeTypes if self._of_kind(node, kind)]
        hidden = node.GetHideFromEditors() and not self.showHidden
        excluded = any(node.IsA(kind) for kind in self.hideChildNodeTypes)
        wanted = [(name, value) for kind, name, value in state(self)["attributes"] if node.IsA(kind)]
        return bool(kinds) and not hidden and not excluded and all(_has(node, *one) for one in wanted)

    def _of_kind(self, node: Any, kind: str) -> bool:
        return bool(node.IsA(kind) if self.showChildNodeTypes else node.GetClassName() == kind)

    def _select(self, node_id: str) -> None:
        inside = state(self)
        chosen = node_id if node_id in inside["ids"] else ""
        changed = chosen != inside["current"]
        inside["current"] = chosen
        self._show()
        if changed:
            self._announce()

    def _announce(self) -> None:
        self.currentNodeChanged.emit(self.currentNode())
        self.currentNodeIDChanged.emit(self.currentNodeID)

    def _show(self) -> None:
        inside = state(self)
        inside["filling"] = True
        inside["box"].clear()
        rows = [self.noneDisplay] * self.noneEnabled + inside["names"]
        inside["box"].addItems(rows)
        place = inside["ids"].index(inside["current"]) + self.noneEnabled if inside["current"] else -1
        inside["box"].currentIndex = 0 if place < 0 and self.noneEnabled else place
        inside["filling"] = False

    def _chosen(self, row: int) -> None:
        if not state(self)["filling"]:
            self.setCurrentNodeIndex(row - self.noneEnabled)


def _forget(inside: dict[str, Any]) -> None:
    """Take back every observer; VTK would keep the widget for as long as the scene."""
    for tag in inside["tags"]:
        inside["scene"].RemoveObserver(tag)
    for node, tag in inside["watched"].values():
        node.RemoveObserver(tag)
    inside.update(tags=[], watched={})


def _has(node: Any, name: str, value: str | None) -> bool:
    found = node.GetAttribute(name)
    return found is not None and (value is None or found == value)
