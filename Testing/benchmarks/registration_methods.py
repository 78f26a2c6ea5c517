"""Ways to register two images, ours and those of others, for `registration.py`; each gives a transform of SimpleITK."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import SimpleITK as sitk

from medseg.engines.registrars_catalog import Options, open_registrar
from medseg.geometry import Geometry
from medseg.progress import silent
from medseg.registration import Guidance, InvertibleRegistrar

Found = tuple[sitk.Transform, sitk.Transform | None]
Run = Callable[[sitk.Image, sitk.Image, Guidance], Found]


@dataclass(frozen=True)
class Method:
    """A way to register: its name in the table, the package it needs, and how it runs."""

    name: str
    needs: str
    run: Run

    @property
    def missing(self) -> bool:
        return importlib.util.find_spec(self.needs) is None


def ours(engine: str, **more: object) -> Run:
    def run(fixed: sitk.Image, moving: sitk.Image, guidance: Guidance) -> Found:
        opened = open_registrar(engine, replace(Options(device="cpu"), **more))
        if isinstance(opened, InvertibleRegistrar):
            return opened.register_both(fixed, moving, silent, guidance)
        return opened.register(fixed, moving, silent, guidance), None

    return run


def ants(kind: str) -> Run:
    """ANTs at the settings of its scripts; of the guidance, the fixed mask is used."""

    def run(fixed: sitk.Image, moving: sitk.Image, guidance: Guidance) -> Found:
        import ants as package

        with tempfile.TemporaryDirectory() as folder:
            images = [_as_ants(package, image, Path(folder) / f"{n}.nii.gz") for n, image in enumerate((fixed, moving))]
            mask = guidance.fixed_mask
            masked = {} if mask is None else {"mask": _as_ants(package, mask, Path(folder) / "mask.nii.gz")}
            (Path(folder) / "found").mkdir()  # what lies beside its own files is taken for one of them
            found = package.registration(*images, kind, outprefix=f"{folder}/found/", **masked)
            forward = [_read(Path(name)) for name in found["fwdtransforms"]]  # the last one is applied last
            back = [_read(Path(name)) for name in found["invtransforms"]]
            back[0] = back[0].GetInverse()  # the affine's file is that of the way there
            return sitk.CompositeTransform(forward[::-1]), sitk.CompositeTransform(back[::-1])

    return run


def sitk_bspline(spacing_mm: float = 20.0) -> Run:
    """Affine by our engine for SimpleITK, then its B-splines, L-BFGS-B, mutual information of 5 % of the voxels."""

    def run(fixed: sitk.Image, moving: sitk.Image, guidance: Guidance) -> Found:
        affine = open_registrar("affine", Options(turns=2)).register(fixed, moving, silent, guidance)
        method = sitk.ImageRegistrationMethod()
        method.SetMetricAsMattesMutualInformation(32)
        method.SetMetricSamplingStrategy(method.RANDOM)
        method.SetMetricSamplingPercentage(0.05, 1)
        method.SetShrinkFactorsPerLevel([4, 2])
        method.SetSmoothingSigmasPerLevel([2, 1])
        method.SetInterpolator(sitk.sitkLinear)
        method.SetOptimizerAsLBFGSB(gradientConvergenceTolerance=1e-5, numberOfIterations=40)
        method.SetMovingInitialTransform(affine)
        mesh = [max(1, round(e / spacing_mm)) for e in Geometry.of(fixed).extent]
        spline = sitk.BSplineTransformInitializer(fixed, mesh)
        method.SetInitialTransform(spline, inPlace=True)
        images = (sitk.Cast(image, sitk.sitkFloat32) for image in (fixed, moving))
        method.Execute(*images)
        return sitk.CompositeTransform([affine, spline]), None

    return run


def deformable(weights: Path, measure: str = "lncc") -> Mapping[str, Method]:
    """Return what deforms, by name; the measure is that of ours."""
    found = (
        Method("svf-fast", "torch", ours("svf-fast", measure=measure)),
        Method("svf-fast symmetric", "torch", ours("svf-fast", measure=measure, symmetric=True)),
        Method("svf-accurate", "torch", ours("svf-accurate", measure=measure)),
        Method("svf-accurate symmetric", "torch", ours("svf-accurate", measure=measure, symmetric=True)),
        Method("SYMNet published", "torch", ours("symnet", weights=str(weights))),
        Method("SYMNet + svf-fast", "torch", ours("symnet", weights=str(weights), refine=True)),
        Method("ANTs SyNQuick", "ants", ants("antsRegistrationSyNQuick[s]")),
        Method("ANTs SyN", "ants", ants("antsRegistrationSyN[s]")),
        Method("elastix B-spline", "itk", ours("bspline")),
        Method("SimpleITK B-spline", "SimpleITK", sitk_bspline()),
    )
    return {method.name: method for method in found}


def _as_ants(package: object, image: sitk.Image, path: Path) -> object:
    sitk.WriteImage(sitk.Cast(image, sitk.sitkFloat32), str(path))
    return package.image_read(str(path))


def _read(path: Path) -> sitk.Transform:
    if path.name.endswith(".mat"):
        return sitk.ReadTransform(str(path))
    return sitk.DisplacementFieldTransform(sitk.Cast(sitk.ReadImage(str(path)), sitk.sitkVectorFloat64))
