"""The application is killed in the middle of editing: Recover brings back every stroke that had been drawn, exactly.

`MEDSEG_KILLS=50 MEDSEG_HARNESS_PROCESS=1` kills more often than continuous integration has time for; the journal alone
is killed 52 times in `Testing/correction/test_session_killed.py`.
"""

import os
import random
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness import needed

needed.core()
needed.qt()
needed.graphics()

from correction_phantom import head, lesion, on_the_desk, segmented  # noqa: E402
from medseg.correction import CorrectionSession  # noqa: E402
from medseg.correction.folder import SessionFolder  # noqa: E402
from medseg.correction.records import Restarted  # noqa: E402
from medseg.desktop import correction_settings  # noqa: E402

KILLS = int(os.environ.get("MEDSEG_KILLS", "2"))
TESTING = Path(__file__).parents[1]
EDITOR = """
import sys
from hashlib import sha256
import numpy as np
from harness import desktop
desktop.start()
from correction_phantom import ball, brush, head, lesion, on_the_desk, segmented
from medseg.desktop import correction_settings

correction_settings.set_folder(sys.argv[1])
volume = head()
widget = on_the_desk(desktop.LoadedModule(__import__("pathlib").Path(sys.argv[2])), volume, segmented(volume))
drawn = np.random.default_rng(int(sys.argv[3]))
while True:
    kind, place = drawn.integers(4), drawn.integers(4, 32, 3)
    if kind == 0:
        widget.ui.undoButton.click()
    elif kind == 1:
        widget.ui.cleanButton.click()
        widget.ui.acceptButton.click()
    else:
        brush(widget, ball(place, drawn.uniform(2, 6)), add=kind == 2)
    desktop.process_events()
    print(len(widget.panel.desk.folder.changes), sha256(lesion(widget).tobytes()).hexdigest(), flush=True)
"""


def killed_while_editing(sessions: Path, number: int) -> list[tuple[int, str]]:
    """Let a process edit, kill it at a random moment; return what it told: the count of changes and the mask then."""
    moments = random.Random(number)
    module = TESTING.parent / "Modules/MedSegCorrection/MedSegCorrection.py"
    command = [sys.executable, "-c", EDITOR, str(sessions), str(module), str(number)]
    surroundings = os.environ | {"PYTHONPATH": os.pathsep.join([str(TESTING), *sys.path]), "MEDSEG_HOME": str(sessions)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=surroundings) as process:
        assert process.stdout is not None
        told = [process.stdout.readline() for _ in range(moments.randrange(1, 12))]
        time.sleep(moments.random() * 0.1)
        process.kill()
        told += [line for line in process.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
    return [(int(count), mask) for count, mask in map(str.split, told)]


def lesions(folder: SessionFolder) -> list[np.ndarray]:
    """Return the lesion as it was at first, and after each change."""
    session, found = CorrectionSession(folder.start.segmentation), []
    for change in (None, *folder.changes):
        if isinstance(change, Restarted):
            session = CorrectionSession(change.segmentation)
        elif change is not None:
            session.record(change)
        found.append(session.segmentation.mask(session.segmentation.segment("Lesion")))
    return found


@pytest.mark.parametrize("number", range(KILLS))
def test_after_a_kill_recover_brings_back_every_stroke(
    correction: Any, scene: Any, tmp_path: Path, number: int
) -> None:
    told = killed_while_editing(tmp_path, number)
    (path,) = [folder for folder in tmp_path.iterdir() if (folder / "journal").exists()]
    kept = lesions(SessionFolder.read(path))
    assert len(kept) - 1 in {told[-1][0], told[-1][0] + 1}  # the stroke under the pen may have arrived
    assert [mask for _, mask in told] == [sha256(kept[count].tobytes()).hexdigest() for count, _ in told]
    correction_settings.set_folder(str(tmp_path))
    volume = head()
    widget = on_the_desk(correction, volume, segmented(volume))
    if len(kept) > 1:
        widget.ui.recoverButton.click()
        assert np.array_equal(lesion(widget), kept[-1])
