"""Renders the pictures of the documentation: panels and views of the modules at work.

    python Testing/screenshots.py [FOLDER]        (Resources/Screenshots)

They are made by the test harness (Slicer's core with an emulation of its panels), not in the application.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "Testing"))
HEAD = ROOT / "Resources/SampleData/colin27_t1.nii.gz"
PANEL_WIDTH = 480
GREY = (239, 239, 239)


def until(desktop: Any, condition: Callable[[], Any], within: float = 300.0) -> None:
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        desktop.process_events(10)


def panel_picture(desktop: Any, widget: Any, path: Path) -> Path:
    """Draw a panel at the width that it has in the application, and cut off what is empty below."""
    from PIL import Image, ImageChops

    widget.parent.setFixedWidth(PANEL_WIDTH)
    desktop.process_events(50)
    widget.parent.adjustSize()
    widget.parent.setFixedHeight(max(widget.parent.height, widget.parent.layout().heightForWidth(PANEL_WIDTH)))
    picture = Image.open(desktop.screenshot(widget.parent, path)).convert("RGB")
    box = ImageChops.difference(picture, Image.new("RGB", picture.size, picture.getpixel((1, 1)))).getbbox()
    picture.crop((0, 0, picture.width, min(picture.height, box[3] + 12))).save(path, optimize=True)
    return path


def side_by_side(left: Path, right: Path, path: Path) -> None:
    """Lay a panel beside the views, as the application does."""
    from PIL import Image

    pictures = [Image.open(left), Image.open(right)]
    whole = Image.new("RGB", (sum(p.width for p in pictures), max(p.height for p in pictures)), GREY)
    whole.paste(pictures[0], (0, 0))
    whole.paste(pictures[1], (pictures[0].width, 0))
    whole.save(path, optimize=True)


def ai_segmentation(folder: Path, desktop: Any, application: Any, parts: Path) -> None:
    import slicer

    from harness.layout import four_up

    module = desktop.LoadedModule(ROOT / "Modules/MedSegSegmentation/MedSegSegmentation.py")
    panel = module.open()
    head = slicer.util.loadVolume(str(HEAD))
    panel.ui.modelSelector.setCurrentIndex(panel.ui.modelSelector.findText("Brain extraction, T1 MR"))
    panel.ui.applyButton.click()
    until(desktop, lambda: panel.ui.statusLabel.text.startswith("whole volume"))
    panel_picture(desktop, panel, folder / "ai-segmentation-running.png")
    until(desktop, lambda: panel.panel.queue.current is None)
    until(desktop, lambda: panel.ui.deviceReason.text.startswith("automatic"))
    panel_picture(desktop, panel, parts / "panel.png")
    with four_up(application, (400, 400)) as views:
        for view in views.slices.values():
            view.show(head)
        panel.ui.show3DButton.click()
        views.resetSliceViews()
        views.resetThreeDViews()
        views.write(parts / "views.png")
    side_by_side(parts / "panel.png", parts / "views.png", folder / "ai-segmentation.png")
    panel.ui.settingsButton.collapsed = False
    panel.ui.modelFolder.text = "~/.local/share/medseg"  # not the folder of this run
    panel.ui.addAllButton.click()
    panel_picture(desktop, panel, folder / "ai-segmentation-all.png")
    module.unload()
    slicer.mrmlScene.Clear(0)


def registration(folder: Path, desktop: Any, application: Any, parts: Path) -> None:
    import slicer

    from harness.layout import four_up

    fixed, moving = (slicer.util.loadVolume(str(HEAD.parent / f"{n}.nii.gz")) for n in ("head_ct", "head_t1_of_ct"))
    fixed.GetDisplayNode().SetAutoWindowLevel(False)
    fixed.GetDisplayNode().SetWindowLevelMinMax(-100, 200)
    module = desktop.LoadedModule(ROOT / "Modules/MedSegRegistration/MedSegRegistration.py")
    with four_up(application, (400, 400)) as views:
        for view in views.slices.values():
            view.show(fixed)
        views.slices["Red"].logic.SetSliceOffset(views.slices["Red"].node.GetSliceOffset() + 20)
        panel = module.open()
        panel.ui.fixedSelector.setCurrentNode(fixed)
        panel.ui.movingSelector.setCurrentNode(moving)
        registered(desktop, panel, "ct-mr")
        panel.ui.reviewButton.click()
        views.resetThreeDViews()
        views.write(parts / "views.png")
        panel_picture(desktop, panel, parts / "panel.png")
        side_by_side(parts / "panel.png", parts / "views.png", folder / "registration-checkerboard.png")
        verdict_picture(desktop, panel, folder / "registration-verdict.png")
        shown = {mode: review_picture(panel, views, mode) for mode in REVIEWED}
        registered(desktop, panel, "same-deformable")
        panel.ui.reviewButton.click()
        shown |= {mode: review_picture(panel, views, mode) for mode in DEFORMED}
        modes_picture(shown, folder / "registration-modes.png")
        module.unload()
    slicer.mrmlScene.Clear(0)


REVIEWED = ("checkerboard", "vertical wipe", "lens", "colour fusion", "difference", "edges of the fixed volume")
DEFORMED = ("deformation grid", "deformation arrows", "Jacobian determinant")
"""Ways to compare that want a transform which bends."""


def registered(desktop: Any, panel: Any, preset: str) -> None:
    """Press Register and wait."""
    from medseg.engines.registration_presets import PRESETS

    panel.ui.presetSelector.setCurrentIndex([one.name for one in PRESETS].index(preset))
    panel.ui.registerButton.click()
    until(desktop, lambda: not panel.panel.run.busy, within=1500)


def review_picture(panel: Any, views: Any, mode: str) -> Any:
    """Return the head in the axial view, compared in one way."""
    panel.ui.tileSlider.value = 60 if mode == "lens" else 20
    panel.ui.modeSelector.setCurrentIndex(panel.ui.modeSelector.findText(mode))
    return views.slices["Red"].pixels()[70:370, 50:350]


def modes_picture(shown: Any, path: Path) -> None:
    """Lay pictures in rows of three, each under its name."""
    from PIL import Image, ImageDraw, ImageFont

    edge, head = 320, 24
    rows = -(-len(shown) // 3)
    whole = Image.new("RGB", (3 * edge, rows * (edge + head)), GREY)
    draw, font = ImageDraw.Draw(whole), ImageFont.load_default(size=15)
    for number, (name, pixels) in enumerate(shown.items()):
        left, top = number % 3 * edge, number // 3 * (edge + head)
        whole.paste(Image.fromarray(pixels).resize((edge - 4, edge - 4)), (left, top + head))
        draw.text((left + 6, top + 3), name, fill=(20, 20, 20), font=font)
    whole.quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(path, optimize=True)


def verdict_picture(desktop: Any, panel: Any, path: Path) -> None:
    """Measure, decide, and show the sections of landmarks and verdict."""
    panel.ui.verdictSection.collapsed = False
    for name in ("inputsButton", "registerSection", "reviewSection"):
        getattr(panel.ui, name).collapsed = True
    panel.ui.measureButton.click()
    until(desktop, lambda: panel.ui.exportButton.enabled, within=900)
    panel.ui.readerEdit.text = "A. Reader"
    panel.ui.decisionSelector.setCurrentIndex(2)
    panel.ui.commentEdit.text = "skull base not judged: the MR ends there"
    panel_picture(desktop, panel, path)
    for name in ("inputsButton", "registerSection", "reviewSection"):
        getattr(panel.ui, name).collapsed = False
    panel.ui.verdictSection.collapsed = True


def installation(folder: Path, desktop: Any) -> None:
    import slicer

    from medseg.desktop import packages

    real, packages.missing = packages.missing, lambda: ["torch>=2.6", "monai>=1.5.1", "nibabel>=5.2"]
    module = desktop.LoadedModule(ROOT / "Modules/MedSegSegmentation/MedSegSegmentation.py")
    panel_picture(desktop, module.open(), folder / "installation.png")
    packages.missing = real
    module.unload()
    slicer.mrmlScene.Clear(0)


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as home:
        os.environ["MEDSEG_HOME"] = home
        from correction_pictures import correction
        from harness import desktop
        from uncertainty_pictures import uncertainty

        application = desktop.start()
        ai_segmentation(folder, desktop, application, Path(home))
        registration(folder, desktop, application, Path(home))
        correction(folder, desktop, application, Path(home))
        uncertainty(folder, desktop, application, Path(home))
        installation(folder, desktop)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "Resources/Screenshots")
