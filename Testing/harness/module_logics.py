"""The module logics that the application registers at start-up, in the order in which they need each other."""

from typing import Any

import slicer

CLASSES = {
    "Units": "vtkSlicerUnitsLogic",
    "Terminologies": "vtkSlicerTerminologiesModuleLogic",
    "SubjectHierarchy": "vtkSlicerSubjectHierarchyModuleLogic",
    "Cameras": "vtkSlicerCamerasModuleLogic",
    "ViewControllers": "vtkSlicerViewControllersLogic",
    "Data": "vtkSlicerDataModuleLogic",
    "Volumes": "vtkSlicerVolumesLogic",
    "Models": "vtkSlicerModelsLogic",
    "Markups": "vtkSlicerMarkupsLogic",
    "Transforms": "vtkSlicerTransformLogic",
    "Tables": "vtkSlicerTablesLogic",
    "Texts": "vtkSlicerTextsLogic",
    "Plots": "vtkSlicerPlotsLogic",
    "Sequences": "vtkSlicerSequencesLogic",
    "Reformat": "vtkSlicerReformatLogic",
    "SceneViews": "vtkSlicerSceneViewsModuleLogic",
    "VolumeRendering": "vtkSlicerVolumeRenderingLogic",
    "CropVolume": "vtkSlicerCropVolumeLogic",
    "Segmentations": "vtkSlicerSegmentationsModuleLogic",
}


def register(app_logic: Any, scene: Any, colors: Any) -> dict[str, Any]:
    """Make every logic, give it application and scene and announce it; returns them by module name."""
    app_logic.SetModuleLogic("Colors", colors)
    return {"Colors": colors} | {name: _registered(name, app_logic, scene) for name in CLASSES}


def _registered(name: str, app_logic: Any, scene: Any) -> Any:
    logic = getattr(slicer, CLASSES[name])()
    if hasattr(logic, "SetMRMLApplicationLogic"):
        logic.SetMRMLApplicationLogic(app_logic)
    logic.SetMRMLScene(scene)
    app_logic.SetModuleLogic(name, logic)
    return logic
