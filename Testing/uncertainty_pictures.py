"""The picture of Uncertainty Overlay for the documentation; `Testing/screenshots.py` draws it with the others."""

from pathlib import Path
from typing import Any

import screenshots


def uncertainty(folder: Path, desktop: Any, application: Any, parts: Path) -> None:
    """Ask the first model about the sample head, and draw what comes of it."""
    import slicer

    module = desktop.LoadedModule(screenshots.ROOT / "Modules/MedSegUncertainty/MedSegUncertainty.py")
    slicer.util.loadVolume(str(screenshots.HEAD))
    panel = module.open()
    panel.ui.applyButton.click()
    screenshots.until(desktop, lambda: panel.panel.queue.current is None, 1200.0)
    draw(folder, desktop, application, parts, module)
    module.unload()
    slicer.mrmlScene.Clear(0)


def draw(folder: Path, desktop: Any, application: Any, parts: Path, module: Any) -> None:
    """Draw a result that is in the scene: panel, overlay with legend, surface, and the region that was gone to."""
    from harness.layout import four_up

    with four_up(application, (500, 500)) as views:
        panel = module.open()
        for view in views.slices.values():
            view.show(panel.tie.parameters.volume)
        show(panel)
        whole_head_at_crosshair(views)
        frame_surface(views)
        screenshots.until(desktop, lambda: panel.ui.deviceReason.text.startswith("automatic"))
        panel.parent.setMinimumHeight(panel.parent.layout().heightForWidth(screenshots.PANEL_WIDTH))
        screenshots.panel_picture(desktop, panel, parts / "panel.png")
        views.write(parts / "views.png")
    screenshots.side_by_side(parts / "panel.png", parts / "views.png", folder / "uncertainty-overlay.png")


def show(panel: Any) -> None:
    """The most doubtful sixth of the mask, the surface, and the second region of the list."""
    panel.ui.showButton.checked = False  # the views were given another foreground since the result came
    panel.ui.showButton.checked = True
    panel.ui.zoneSelector.setCurrentIndex(1)
    panel.ui.percentSlider.value = 15
    panel.ui.opacitySlider.value = 0.85
    panel.ui.surfaceButton.click()
    panel.ui.nextButton.click()
    panel.ui.seenButton.click()
    panel.ui.nextButton.click()


def whole_head_at_crosshair(views: Any) -> None:
    """Zoom out from the region that the views are centred on; the crosshair stays on it."""
    import slicer

    place = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLCrosshairNode").GetCrosshairRAS()
    for view in views.slices.values():
        view.logic.FitSliceToAll()
        view.node.JumpSliceByOffsetting(*place)


def frame_surface(views: Any) -> None:
    """Let the surface fill its view."""
    views.space.node.SetBoxVisible(False)
    views.space.node.SetAxisLabelsVisible(False)
    views.resetThreeDViews()
    views.space.renderer.GetActiveCamera().Zoom(1.3)
