"""Which of the things that a bundle's configuration names may be made without asking the user.

MONAI looks a `_target_` up by walking dotted names through attributes, so `monai.transforms.io.array.os.system` is
`os.system`. Hence the class itself is found here, must be where it says, and must be on a list of classes that
neither run nor read nor write anything but tensors. The class is then put into the configuration in place of its
name, so that what was checked is what is made.
"""

from __future__ import annotations

import functools
import sys
from enum import Enum
from typing import Any


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_TRANSFORMS = _words(
    "Compose BorderPad BoundingRect CenterScaleCrop CenterSpatialCrop CropForeground DivisiblePad "
    "ResizeWithPadOrCrop SpatialCrop SpatialPad AdjustContrast ClipIntensityPercentiles ForegroundMask "
    "GaussianSharpen GaussianSmooth HistogramNormalize MaskIntensity MedianSmooth NormalizeIntensity "
    "SavitzkyGolaySmooth ScaleIntensity ScaleIntensityFixedMean ScaleIntensityRange "
    "ScaleIntensityRangePercentiles ShiftIntensity StdShiftIntensity ThresholdIntensity Activations AsDiscrete "
    "DistanceTransformEDT FillHoles Invert KeepLargestConnectedComponent LabelFilter LabelToContour MeanEnsemble "
    "RemoveSmallObjects VoteEnsemble SobelGradients Affine Flip Orientation ResampleToMatch Resize Rotate Rotate90 "
    "Spacing SpatialResample Zoom AddCoordinateChannels AsChannelLast CastToType ConcatItems "
    "ConvertToMultiChannelBasedOnBratsClasses CopyItems DeleteItems EnsureChannelFirst EnsureType Identity "
    "LabelToMask MapLabelValue RemoveRepeatedChannel RepeatChannel SelectItems SplitDim SqueezeDim ToDevice "
    "ToNumpy ToTensor Transpose FromMetaTensor ToMetaTensor ApplyPending"
)
_NETWORKS = _words(
    "UNet CheckpointUNet BasicUNet BasicUNetPlusPlus AttentionUnet SegResNet SegResNetVAE SegResNetDS SegResNetDS2 "
    "DynUNet UNETR SwinUNETR VNet HighResNet AHNet DiNTS TopologyInstance MedNeXt FlexibleUNet"
)
_INFERERS = _words("SimpleInferer SlidingWindowInferer SlidingWindowInfererAdapt SliceInferer")
_ALLOWED = {"monai.transforms": _TRANSFORMS, "monai.networks.nets": _NETWORKS, "monai.inferers": _INFERERS}

# what a configuration holds for MONAI's own command line, or that we replace: never made, so harmless where it stands
_NEVER_MADE = (
    "monai.transforms.io",
    "monai.data",
    "monai.engines",
    "monai.handlers",
    "monai.losses",
    "monai.metrics",
    "monai.optimizers",
    "torch.optim",
    "torch.utils.data",
    "ignite",
)


class Use(Enum):
    """What may be done with a `_target_`."""

    MADE = "made"
    NEVER_MADE = "never made"
    REFUSED = "refused"


def judge(target: object) -> tuple[Use, type | None]:
    """Say what may be done with a `_target_`, and for `Use.MADE` which class it is."""
    if not isinstance(target, str):
        return Use.REFUSED, None
    module, name = _place(target)
    # ignite need not be installed; whatever else MONAI would not find in a loaded module is not what it seems
    place = target if not module and target.startswith("ignite.") else module
    if any(_is_in(place, package) for package in _NEVER_MADE):
        return Use.NEVER_MADE, None
    found = getattr(sys.modules.get(module), name, None)
    if isinstance(found, type) and _is_allowed(found):
        return Use.MADE, found
    return Use.REFUSED, None


def is_loader(target: object) -> bool:
    """Whether it is one of MONAI's transforms that read an image file."""
    return _last(target) in ("LoadImage", "LoadImaged", "LoadImageD", "LoadImageDict")


def is_saver(target: object) -> bool:
    """Whether it is one of MONAI's transforms that write a result to a file."""
    kinds = [f"{name}{end}" for name in ("SaveImage", "SaveClassification") for end in ("", "d", "D", "Dict")]
    return _last(target) in kinds


def is_network(target: object) -> bool:
    """Whether it is a part of a network, which lives on the device that the network runs on."""
    return isinstance(target, str) and _is_in(_place(target)[0], "monai.networks")


def _is_allowed(found: type) -> bool:
    import numpy as np
    import torch

    if issubclass(found, torch.nn.Module) and _is_in(found.__module__, "torch.nn.modules"):
        return True
    if found is torch.device or issubclass(found, np.generic):
        return True
    names = [names for package, names in _ALLOWED.items() if _is_in(found.__module__, package)]
    # the dictionary version of a transform is called like the array version with a "d"
    return any(found.__name__ in allowed or found.__name__.removesuffix("d") in allowed for allowed in names)


def _place(target: str) -> tuple[str, str]:
    """Return module and name of what MONAI would find; the module is "" where it is none that MONAI has loaded."""
    if "." not in target:
        modules = _names_of_monai().get_component_module_name(target)
        return (modules[0] if isinstance(modules, list) else modules or ""), target
    module, _, name = target.rpartition(".")
    return (module if module in sys.modules else ""), name


def _is_in(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


def _last(target: object) -> str:
    return target.rpartition(".")[2] if isinstance(target, str) else ""


@functools.cache
def _names_of_monai() -> Any:
    import monai  # noqa: F401  (its modules must be loaded to be searched)
    from monai.bundle import ComponentLocator

    return ComponentLocator()
