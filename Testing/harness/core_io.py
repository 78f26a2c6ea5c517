"""`slicer.app.coreIOManager()`: which reader or writer a file gets, done by the logics and storage nodes themselves."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import slicer
import vtk

from harness.not_simulated import Shim

Properties = Mapping[str, Any]

ENDINGS = {
    "SceneFile": (".mrml", ".mrb"),
    "SegmentationFile": (".seg.nrrd", ".seg.nhdr"),
    "TransformFile": (".h5", ".tfm", ".txt.tfm"),
    "MarkupsFile": (".mrk.json", ".fcsv"),
    "ModelFile": (".vtk", ".vtp", ".stl", ".ply", ".obj"),
    "ColorTableFile": (".ctbl", ".cxml"),
    "TableFile": (".tsv", ".csv"),
    "TextFile": (".txt",),
    "VolumeFile": (".nrrd", ".nhdr", ".nii", ".nii.gz", ".mha", ".mhd", ".tif", ".tiff", ".png", ".jpg", ".dcm", ".gz"),
}
WRITERS = {
    "vtkMRMLSegmentationNode": "SegmentationFile",
    "vtkMRMLTransformNode": "TransformFile",
    "vtkMRMLMarkupsNode": "MarkupsFile",
    "vtkMRMLModelNode": "ModelFile",
    "vtkMRMLColorNode": "ColorTableFile",
    "vtkMRMLTableNode": "TableFile",
    "vtkMRMLTextNode": "TextFile",
    "vtkMRMLVolumeNode": "VolumeFile",
}
_VOLUME_OPTIONS = {
    "labelmap": slicer.vtkSlicerVolumesLogic.LabelMap,
    "center": slicer.vtkSlicerVolumesLogic.CenterImage,
    "singleFile": slicer.vtkSlicerVolumesLogic.SingleFile,
    "autoWindowLevel": slicer.vtkSlicerVolumesLogic.AutoWindowLevel,
    "discardOrientation": slicer.vtkSlicerVolumesLogic.DiscardOrientation,
}
NO_FILE, UNKNOWN_FILE = "NoFile", "UnknownFile"


class CoreIO(Shim):
    """The part of qSlicerCoreIOManager that the functions of `slicer.util` call."""

    exists_in_slicer = ("openDialog", "openAddDataDialog", "openSaveDataDialog", "openAddVolumeDialog", "exportNodes")

    def __init__(self, scene: Any, logics: Mapping[str, Any]) -> None:
        self._scene = scene
        self._logics = logics
        self._readers: dict[str, Callable[[str, Properties], Any]] = {
            "VolumeFile": self._read_volume,
            "SegmentationFile": self._read_segmentation,
            "TransformFile": lambda path, _: logics["Transforms"].AddTransform(path, scene),
            "MarkupsFile": self._read_markups,
            "ModelFile": lambda path, _: logics["Models"].AddModel(path),
            "ColorTableFile": lambda path, _: logics["Colors"].LoadColorFile(path),
            "TableFile": lambda path, what: logics["Tables"].AddTable(path, what.get("name", "")),
            "TextFile": self._read_text,
        }

    def fileType(self, path: str) -> str:
        """Return the type with the highest confidence: the longest ending wins, .seg.nrrd before .nrrd."""
        name = Path(path).name.lower()
        fits = [(len(end), kind) for kind, ends in ENDINGS.items() for end in ends if name.endswith(end)]
        return max(fits)[1] if fits else UNKNOWN_FILE

    def fileWriterFileType(self, node: Any) -> str:
        return next((kind for name, kind in WRITERS.items() if node.IsA(name)), NO_FILE)

    def loadNodes(self, kind: str, properties: Properties, loaded: Any = None, messages: Any = None) -> bool:
        """Read one file into the scene; what was read goes into `loaded`, complaints into `messages`."""
        path = str(properties["fileName"])
        if not Path(path).exists():
            return _complain(messages, f"File does not exist: {path}")
        if kind == "SceneFile":
            return self._read_scene(path, properties, messages)
        if kind not in self._readers:
            return _complain(messages, f"No reader found for reading file: {path}")
        node = self._readers[kind](path, properties)
        if node is None:
            return _complain(messages, f"{kind} reader failed to read {path}")
        return self._finish(node, properties, loaded)

    def saveNodes(self, kind: str, properties: Properties, messages: Any = None) -> bool:
        """Write one node or the whole scene."""
        path = str(properties["fileName"])
        if kind == "SceneFile":
            return self._write_scene(path, messages)
        node = self._scene.GetNodeByID(properties["nodeID"])
        if not node.GetStorageNode() and not node.AddDefaultStorageNode(path):
            return _complain(messages, f"Cannot make a storage node for {path}")
        storage = node.GetStorageNode()
        storage.SetFileName(path)
        storage.SetUseCompression(int(properties.get("useCompression", storage.GetUseCompression())))
        return bool(storage.WriteData(node)) or _complain(messages, f"Failed to write {path}")

    def extractKnownExtension(self, path: str, node: Any) -> str:
        name = Path(path).name.lower()
        ends = ENDINGS.get(self.fileWriterFileType(node), ())
        return max((end for end in ends if name.endswith(end)), key=len, default="")

    def _finish(self, node: Any, properties: Properties, loaded: Any) -> bool:
        if properties.get("name") and node.GetName() != properties["name"]:  # some logics take the name themselves
            node.SetName(self._scene.GetUniqueNameByString(properties["name"]))
        if loaded is not None:
            loaded.AddItem(node)
        if properties.get("show", True) and node.IsA("vtkMRMLVolumeNode"):
            self._show(node)
        return True

    def _show(self, volume: Any) -> None:
        application = self._logics["Volumes"].GetMRMLApplicationLogic()
        selection = application.GetSelectionNode()
        label = volume.IsA("vtkMRMLLabelMapVolumeNode")
        (selection.SetActiveLabelVolumeID if label else selection.SetActiveVolumeID)(volume.GetID())
        application.PropagateVolumeSelection()

    def _read_volume(self, path: str, properties: Properties) -> Any:
        options = sum(flag for name, flag in _VOLUME_OPTIONS.items() if properties.get(name))
        name = properties.get("name") or Path(path).name.partition(".")[0]
        files = vtk.vtkStringArray()
        for file in properties.get("fileNames", ()):
            files.InsertNextValue(str(file))
        return self._logics["Volumes"].AddArchetypeVolume(
            path, name, options, files if files.GetNumberOfValues() else None
        )

    def _read_segmentation(self, path: str, properties: Properties) -> Any:
        name = properties.get("name") or _node_name(path)
        return self._logics["Segmentations"].LoadSegmentationFromFile(path, properties.get("autoOpacities", True), name)

    def _read_markups(self, path: str, properties: Properties) -> Any:
        found = self._logics["Markups"].LoadMarkups(path, properties.get("name") or _node_name(path))
        return self._scene.GetNodeByID(found.split(",")[0]) if found else None

    def _read_text(self, path: str, properties: Properties) -> Any:
        node = self._scene.AddNewNodeByClass("vtkMRMLTextNode", properties.get("name") or _node_name(path))
        node.SetText(Path(path).read_text(encoding="utf-8"))
        return node

    def _read_scene(self, path: str, properties: Properties, messages: Any) -> bool:
        if properties.get("clear"):
            self._scene.Clear(0)
        if path.lower().endswith(".mrb"):
            return bool(self._scene.ReadFromMRB(path, False, messages))
        self._scene.SetURL(path)
        return bool(self._scene.Import(messages)) or _complain(messages, f"Failed to read {path}")

    def _write_scene(self, path: str, messages: Any) -> bool:
        self._scene.SetRootDirectory(str(Path(path).parent))
        if path.lower().endswith(".mrb"):
            return bool(self._scene.WriteToMRB(path, None, messages))
        if path.lower().endswith(".mrml"):
            self._scene.SetURL(path)
            return bool(self._scene.Commit(path, messages))
        return bool(self._scene.SaveSceneToSlicerDataBundleDirectory(path, None, messages))


def _node_name(path: str) -> str:
    """Return the file's name without its ending, as the application names nodes."""
    name = Path(path).name
    ends = sorted((end for group in ENDINGS.values() for end in group), key=len, reverse=True)
    return next((name[: -len(end)] for end in ends if name.lower().endswith(end)), name)


def _complain(messages: Any, text: str) -> bool:
    """Return False, with the text among the messages that `slicer.util` shows."""
    if messages is not None:
        messages.AddMessage(vtk.vtkCommand.ErrorEvent, text)
    return False
