"""What runs in elastix's own process: `python -m medseg.registrars.elastix_process FOLDER`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

TASK, RESULT, LOG = "task.json", "result.json", "log.txt"
_VALID_SHARE = "0.05"  # of the samples in both masks; at elastix's 0.25, two lungs some cm apart are refused


def run(folder: Path) -> None:
    """Register the images in a folder as its task says, and write the transform parameter maps beside it."""
    import itk

    task = json.loads((folder / TASK).read_text(encoding="utf-8"))
    images = {name: itk.imread(str(folder / f"{name}.mha"), itk.F) for name in ("fixed", "moving")}
    masks = {name: itk.imread(str(folder / f"{name}.mha"), itk.UC) for name in task["images"] if "mask" in name}
    parameters = itk.ParameterObject.New()
    for kind in ("affine", "bspline"):
        values = parameters.GetDefaultParameterMap(kind, 4)
        for key, value in task["changes"].items():
            values[key] = [value, *list(values[key])[1:]] if key == "Metric" and key in values else [value]
        if kind == "bspline":
            values["FinalGridSpacingInPhysicalUnits"] = [task["spacing"]]
        else:
            values["AutomaticTransformInitialization"] = ["true"]
        values["RequiredRatioOfValidSamples"] = [_VALID_SHARE]
        parameters.AddParameterMap(values)
    _, found = itk.elastix_registration_method(
        images["fixed"], images["moving"], parameter_object=parameters, log_to_console=True, **masks
    )
    maps = [dict(found.GetParameterMap(n)) for n in range(found.GetNumberOfParameterMaps())]
    text = json.dumps([{key: list(value) for key, value in one.items()} for one in maps])
    (folder / RESULT).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    run(Path(sys.argv[1]))
