"""Manual Correction: a mask made right by prompts and brushes, without losing a stroke, reviewed and signed."""

from pathlib import Path
from typing import Any

import slicer
import vtk
from slicer import vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import parameterNodeWrapper
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin


class MedSegCorrection(ScriptedLoadableModule):
    """What the application knows of the module."""

    def __init__(self, parent: Any) -> None:
        super().__init__(parent)
        parent.title = _("Manual Correction")
        parent.categories = [translate("qSlicerAbstractCoreModule", "MedSeg")]
        parent.dependencies = ["SegmentEditor"]
        parent.contributors = ["MedSegExtension"]
        parent.helpText = _(
            "Corrects a segmentation by clicks, boxes, scribbles and lassos around Slicer's own Segment Editor, with "
            "its undo and its masking. Every change is kept on disk. Research use only, not for clinical use."
        )
        parent.acknowledgementText = ""
        slicer.app.connect("startupCompleted()", register_effect)


def register_effect() -> None:
    """Offer the effect "MedSeg click" in the Segment Editor."""
    import qSlicerSegmentationsEditorEffectsPythonQt as effects

    effect = effects.qSlicerSegmentEditorScriptedEffect(None)
    effect.setPythonSource(str(Path(__file__).parent / "MedSegCorrectionLib" / "SegmentEditorMedSegClick.py"))
    effect.self().register()


@parameterNodeWrapper
class MedSegCorrectionParameters:
    """What is chosen, kept in the scene."""

    segmentation: vtkMRMLSegmentationNode
    volume: vtkMRMLScalarVolumeNode
    engine: str = "geodesic"


class MedSegCorrectionWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel; what it does is in `medseg.desktop`, which is loaded once the packages it needs are there."""

    def __init__(self, parent: Any = None) -> None:
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.panel: Any = None
        self.tie: Any = None
        self.entered = False

    def setup(self) -> None:
        """Called when the module is first opened."""
        super().setup()
        from medseg.desktop.setup_panel import SetupPanel

        form = slicer.util.loadUI(self.resourcePath("UI/MedSegCorrection.ui"))
        self.ui = slicer.util.childWidgetVariables(form)
        self.form = form
        form.setMRMLScene(slicer.mrmlScene)
        self.logic = MedSegCorrectionLogic()
        self.setupPanel = SetupPanel(self.onPackagesReady)
        self.layout.addWidget(self.setupPanel.widget)
        self.layout.addWidget(form)
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(scene, scene.EndCloseEvent, self.onSceneEndClose)
        self.addObserver(scene, scene.NodeAboutToBeRemovedEvent, self.onNodeAboutToBeRemoved)
        form.enabled = False
        self.enter()  # the application does not call it after a reload

    def onPackagesReady(self) -> None:
        """Everything is installed: the panel comes to life."""
        from medseg.desktop.correction_panel import CorrectionPanel
        from medseg.desktop.parameter_tie import ParameterTie

        if self.panel is None:
            self.panel = CorrectionPanel(self.ui)
            self.tie = ParameterTie(self, self.ui, self.logic.getParameters, self.panel.choose)
            self.form.enabled = True
        self.follow(self.entered)

    def enter(self) -> None:
        """Called each time that the module is opened."""
        self.entered = True
        self.setupPanel.check()
        self.follow(True)

    def exit(self) -> None:
        """Called each time that the module is left: mouse, keys and views are let go; the session stays open."""
        self.entered = False
        self.follow(False)

    def cleanup(self) -> None:
        """Called when the module is unloaded or reloaded."""
        self.follow(False)
        if self.panel:
            self.panel.clear()
        self.setupPanel.close()
        self.removeObservers()

    def follow(self, wanted: bool) -> None:
        """Tie the widgets to the scene's parameters, or let go of them."""
        if self.tie is None:  # packages are missing
            return
        self.tie.tie() if wanted else self.tie.untie()
        self.panel.follow(self.tie.parameters)

    def edit(self, node: Any, region: int = -1) -> None:
        """Lay a segmentation on the desk: how other modules hand one over, to be reviewed from a region on."""
        parameters = self.logic.getParameters()
        parameters.segmentation = node
        parameters.volume = node.GetNodeReference(node.GetReferenceImageGeometryReferenceRole())
        if self.panel and region >= 0:
            self.panel.review.show_region(region)

    def onSceneStartClose(self, _caller: Any, _event: str) -> None:
        """The nodes are about to go."""
        self.follow(False)
        if self.panel:
            self.panel.clear()

    def onSceneEndClose(self, _caller: Any, _event: str) -> None:
        """There is a new, empty scene."""
        self.follow(self.entered)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def onNodeAboutToBeRemoved(self, _caller: Any, _event: str, node: Any) -> None:
        """What needs the node is let go."""
        if self.panel:
            self.panel.forget(node)


class MedSegCorrectionLogic(ScriptedLoadableModuleLogic):
    """The parameters."""

    def getParameters(self) -> Any:
        """Return the scene's parameters."""
        return MedSegCorrectionParameters(super().getParameterNode())


class MedSegCorrectionTest(ScriptedLoadableModuleTest):
    """Run from the developer's section of the panel, and by ctest."""

    def test_a_segmentation_is_laid_on_the_desk(self) -> None:
        """Open the module with a segmentation of the sample head; prompts can be placed, and an undo is there."""
        from medseg import resources
        from medseg.desktop import packages

        if missing := packages.missing():
            self.skipTest(f"not installed: {', '.join(missing)}")
        slicer.mrmlScene.Clear(0)
        head = slicer.util.loadVolume(str(resources.shipped() / "SampleData" / "colin27_t1.nii.gz"))
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
        node.SetReferenceImageGeometryParameterFromVolumeNode(head)
        node.GetSegmentation().AddEmptySegment("brain", "Brain")
        widget = slicer.modules.medsegcorrection.widgetRepresentation().self()
        widget.edit(node)
        self.assertTrue(widget.ui.positiveButton.enabled)
        self.assertFalse(widget.ui.acceptButton.enabled)
