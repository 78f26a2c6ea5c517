"""The part of `slicer.parameterNodeWrapper` that modules use most: typed parameters of one node, bound to a panel."""

from .annotations import Choice, Decimals, Default, Exclude, Maximum, Minimum, SingleStep, WithinRange
from .ranges import FloatRange, RangeBounds
from .wrapper import SlicerParameterNamePropertyName, findChildWidgetForParameter, parameterNodeWrapper

__all__ = [
    "Choice",
    "Decimals",
    "Default",
    "Exclude",
    "FloatRange",
    "Maximum",
    "Minimum",
    "RangeBounds",
    "SingleStep",
    "SlicerParameterNamePropertyName",
    "WithinRange",
    "findChildWidgetForParameter",
    "parameterNodeWrapper",
]
_IN_SLICER = {"parameterPack", "NotNone", "IsNone", "IsInstance", "createGui", "parameterNodeGuiConnector",
              "parameterNodeSerializer", "isParameterNodeWrapper", "isParameterPack", "GuiConnector"}  # fmt: skip


def __getattr__(name: str) -> object:
    from harness.not_simulated import NotSimulated

    if name in _IN_SLICER:
        raise NotSimulated(f"slicer.parameterNodeWrapper.{name}")
    raise AttributeError(name)
