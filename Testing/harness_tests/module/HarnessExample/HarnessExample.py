"""A small scripted module as a developer would write one; the harness loads it unmodified."""

from typing import Annotated

import qt
import slicer
from slicer import vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin


class HarnessExample(ScriptedLoadableModule):
    def __init__(self, parent):
        super().__init__(parent)
        parent.title = _("Harness Example")
        parent.categories = [translate("qSlicerAbstractCoreModule", "Examples")]


@parameterNodeWrapper
class Parameters:
    volume: vtkMRMLScalarVolumeNode
    output: vtkMRMLSegmentationNode
    threshold: Annotated[float, WithinRange(0, 255)] = 100
    inverted: bool = False
    label: str = "bright"


class HarnessExampleWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.parameters = None
        self.gui_tag = None

    def setup(self):
        super().setup()
        panel = slicer.util.loadUI(self.resourcePath("UI/HarnessExample.ui"))
        self.layout.addWidget(panel)
        self.ui = slicer.util.childWidgetVariables(panel)
        panel.setMRMLScene(slicer.mrmlScene)
        self.logic = HarnessExampleLogic()
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.on_scene_closing)
        self.ui.applyButton.connect("clicked()", self.on_apply)
        self.ui.inputSelector.connect("currentNodeChanged(vtkMRMLNode*)", self.on_input)
        self.on_input(None)

    def enter(self):
        self.parameters = Parameters(self.logic.getParameterNode())
        self.gui_tag = self.parameters.connectGui(self.ui)

    def exit(self):
        if self.parameters is not None:
            self.parameters.disconnectGui(self.gui_tag)
        self.parameters = None

    def cleanup(self):
        self.exit()
        self.removeObservers()

    def on_scene_closing(self, caller, event):
        self.exit()

    def on_input(self, node):
        self.ui.applyButton.enabled = node is not None

    def on_apply(self):
        with slicer.util.tryWithErrorDisplay(_("Failed"), waitCursor=True):
            self.parameters.output = self.logic.segment(self.parameters.volume, self.parameters.threshold)
            self.ui.statusLabel.text = _("{count} segment").format(count=1)
            qt.QTimer.singleShot(0, lambda: self.ui.statusLabel.setText(_("done")))


class HarnessExampleLogic(ScriptedLoadableModuleLogic):
    def segment(self, volume, threshold):
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Bright")
        node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
        segment = node.GetSegmentation().AddEmptySegment("bright")
        mask = (slicer.util.arrayFromVolume(volume) > threshold).astype("uint8")
        slicer.util.updateSegmentBinaryLabelmapFromArray(mask, node, segment, volume)
        return node


class HarnessExampleTest(ScriptedLoadableModuleTest):
    def test_threshold(self):
        slicer.harness_example_ran = True
