"""Registration Checkerboard: register two volumes, look at both in every slice view at once, and judge."""

from pathlib import Path
from typing import Annotated, Any

import slicer
import vtk
from slicer import vtkMRMLMarkupsFiducialNode, vtkMRMLScalarVolumeNode, vtkMRMLTransformNode
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


class MedSegRegistration(ScriptedLoadableModule):
    """What the application knows of the module."""

    def __init__(self, parent: Any) -> None:
        super().__init__(parent)
        parent.title = _("Registration Checkerboard")
        parent.categories = [translate("qSlicerAbstractCoreModule", "MedSeg")]
        parent.dependencies = []
        parent.contributors = ["MedSegExtension"]
        parent.helpText = _(
            "Registers two volumes in a process of its own, shows both in one view, on a live checkerboard and in "
            "other ways, without resampling either, and helps to write down a verdict in the terms of AAPM TG-132. "
            "Works with transforms of any tool. Research use only, not for clinical use."
        )
        parent.acknowledgementText = ""
        slicer.app.connect("startupCompleted()", register_sample_data)


def register_sample_data() -> None:
    """Offer CT and MR of one head, which come with the extension, in Sample Data; no network is needed."""
    import SampleData

    from medseg import fingerprints, resources

    paths = [resources.shipped() / "SampleData" / name for name in ("head_ct.nii.gz", "head_t1_of_ct.nii.gz")]
    SampleData.SampleDataLogic.registerCustomSampleDataSource(
        category="MedSeg",
        sampleName="MedSegHeadCTMR",
        thumbnailFileName=str(Path(__file__).parent / "Resources" / "Icons" / "MedSegRegistration.png"),
        uris=[path.as_uri() for path in paths],
        fileNames=[path.name for path in paths],
        checksums=[f"SHA256:{fingerprints.of_file(path)}" for path in paths],
        nodeNames=["MedSegHeadCT", "MedSegHeadMR"],
    )


@parameterNodeWrapper
class MedSegRegistrationParameters:
    """What is chosen, kept in the scene."""

    fixed: vtkMRMLScalarVolumeNode
    moving: vtkMRMLScalarVolumeNode
    transform: vtkMRMLTransformNode
    fixed_points: vtkMRMLMarkupsFiducialNode
    moving_points: vtkMRMLMarkupsFiducialNode
    preset: str = "same-rigid"
    weights: str = ""
    from_here: bool = False
    mode: str = "checkerboard"
    tile: Annotated[float, WithinRange(2, 120)] = 20
    share: Annotated[float, WithinRange(0, 1)] = 0.5
    follow: bool = True
    reader: str = ""
    comment: str = ""
    thresholds: str = ""


class MedSegRegistrationWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel; what it does is in `medseg.desktop`."""

    def __init__(self, parent: Any = None) -> None:
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.panel: Any = None
        self.tie: Any = None
        self.entered = False

    def setup(self) -> None:
        """Called when the module is first opened."""
        super().setup()
        from medseg.desktop.parameter_tie import ParameterTie
        from medseg.desktop.registration_panel import RegistrationPanel
        from medseg.desktop.setup_panel import SetupPanel

        form = slicer.util.loadUI(self.resourcePath("UI/MedSegRegistration.ui"))
        self.ui = slicer.util.childWidgetVariables(form)
        form.setMRMLScene(slicer.mrmlScene)
        self.setupPanel = SetupPanel(self.onPackagesReady)
        self.layout.addWidget(self.setupPanel.widget)
        self.layout.addWidget(form)
        self.logic = MedSegRegistrationLogic()
        self.panel = RegistrationPanel(self.ui)
        self.tie = ParameterTie(self, self.ui, self.logic.getParameters, self.panel.refresh)
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(scene, scene.EndCloseEvent, self.onSceneEndClose)
        self.addObserver(scene, scene.NodeAboutToBeRemovedEvent, self.onNodeAboutToBeRemoved)
        self.enter()  # the application does not call it after a reload

    def onPackagesReady(self) -> None:
        """Everything that registers is installed; reviewing needs none of it."""
        self.panel.packages_ready()

    def enter(self) -> None:
        """Called each time that the module is opened."""
        if self.panel is None:  # setup failed
            return
        self.entered = True
        self.setupPanel.check()
        self.follow(True)

    def exit(self) -> None:
        """Called each time that the module is left: the views are as they were; a registration goes on."""
        self.entered = False
        self.follow(False)

    def cleanup(self) -> None:
        """Called when the module is unloaded or reloaded."""
        self.follow(False)
        if self.panel is not None:
            self.panel.close()
            self.setupPanel.close()
        self.removeObservers()

    def follow(self, wanted: bool) -> None:
        """Tie the widgets to the scene's parameters, or let go of them."""
        if self.tie is None:  # setup failed
            return
        self.tie.tie() if wanted else self.tie.untie()
        self.panel.follow(self.tie.parameters)

    def onSceneStartClose(self, _caller: Any, _event: str) -> None:
        """The nodes are about to go."""
        self.follow(False)
        self.panel.scene_closing()

    def onSceneEndClose(self, _caller: Any, _event: str) -> None:
        """There is a new, empty scene."""
        self.follow(self.entered)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def onNodeAboutToBeRemoved(self, _caller: Any, _event: str, node: Any) -> None:
        """A review of the node ends, and a registration of it is stopped."""
        self.panel.forget(node)


class MedSegRegistrationLogic(ScriptedLoadableModuleLogic):
    """The parameters."""

    def getParameters(self) -> Any:
        """Return the scene's parameters."""
        return MedSegRegistrationParameters(super().getParameterNode())


class MedSegRegistrationTest(ScriptedLoadableModuleTest):
    """Run from the developer's section of the panel, and by ctest."""

    def test_the_panel_lists_ways_to_compare(self) -> None:
        """Open the module with two volumes; reviewing them is possible, and can be left."""
        slicer.mrmlScene.Clear(0)
        widget = slicer.modules.medsegregistration.widgetRepresentation().self()
        for selector in (widget.ui.fixedSelector, widget.ui.movingSelector):
            selector.setCurrentNode(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode"))
        self.assertGreater(widget.ui.modeSelector.count, 5)
        self.assertFalse(widget.ui.reviewButton.checked)
