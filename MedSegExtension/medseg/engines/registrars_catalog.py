"""From the name of a registration engine to the engine. What computes is imported when it is opened, never before."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from medseg.errors import BadInput, Failed
from medseg.registration import Registrar

if TYPE_CHECKING:
    from medseg.registrars.around_network import Around

NEEDS_TORCH = 'this engine needs PyTorch, which is not installed: pip install "medseg[inference]"'


@dataclass(frozen=True)
class Options:
    """What can be chosen of an engine; what is left empty is the engine's own choice.

    Attributes:
        measure: "mattes", "ncc", "mse" (SimpleITK), "mattes", "ncc" (elastix), "lncc", "ncc", "mi", "mind" (ours;
            of a network what its refinement goes by, and roughly the linear part).
        start: "auto", "as-is", "centre", "mass" or "axes".
        turns: random starts of the linear part.
        seed: of everything that is drawn.
        symmetric: compare the images both ways (velocity field alone).
        linear: what comes before a velocity field or network: "rigid", "similarity", "affine" or "none".
        device: "auto", "cpu", "cuda" or "cuda:NUMBER".
        weights: file of a learned engine's weights, on the user's disk; of "learned" the folder of the training.
        refine: whether a learned engine optimises a velocity field for these very images afterwards.
    """

    measure: str = ""
    start: str = "auto"
    turns: int = 8
    seed: int = 0
    symmetric: bool = False
    linear: str = "affine"
    device: str = "auto"
    weights: str = ""
    refine: bool = False


@dataclass(frozen=True)
class Engine:
    """An engine in words, and how it is opened."""

    name: str
    title: str
    open: Callable[[Options], Registrar]
    needs_points: bool = False
    needs_weights: bool = False


def open_registrar(name: str, options: Options | None = None) -> Registrar:
    """Return an engine, ready to register.

    Raises:
        BadInput: if there is none of that name, or it does not know an option.
        Failed: if it needs what is not installed.
    """
    engine = find(name)
    try:
        return engine.open(options or Options())
    except ModuleNotFoundError as fault:
        if fault.name == "torch":
            raise Failed(NEEDS_TORCH) from fault
        raise


def find(name: str) -> Engine:
    """Return what is known of an engine.

    Raises:
        BadInput: if there is none of that name.
    """
    if name not in ENGINES:
        raise BadInput(f"there is no registration engine {name!r}; choose one of {', '.join(ENGINES)}")
    return ENGINES[name]


def _sitk(kind: str) -> Callable[[Options], Registrar]:
    def opened(options: Options) -> Registrar:
        from medseg.registrars.sitk_linear import SitkLinear

        _not_symmetric(options, kind)
        return SitkLinear(kind, options.measure or "mattes", options.start, options.turns, options.seed)

    return opened


def _coarse(kind: str) -> Callable[[Options], Registrar]:
    def opened(options: Options) -> Registrar:
        from medseg.inference.device import choose
        from medseg.registrars.diffeomorphic import TorchLinear

        _not_symmetric(options, f"fast-{kind}")
        device = str(choose(options.device).device)
        return TorchLinear(kind, options.measure or "mi", options.start, options.turns, options.seed, device)

    return opened


def _landmarks(kind: str) -> Callable[[Options], Registrar]:
    def opened(options: Options) -> Registrar:
        from medseg.registrars.landmark_engine import LandmarkEngine

        _not_symmetric(options, f"landmarks-{kind}")
        return LandmarkEngine(kind)

    return opened


def _bspline(options: Options) -> Registrar:
    from medseg.registrars.elastix import ElastixBSpline

    _not_symmetric(options, "bspline")
    return ElastixBSpline(options.measure or "mattes", seed=options.seed)


def _velocity(preset: str) -> Callable[[Options], Registrar]:
    def opened(options: Options) -> Registrar:
        from medseg.inference.device import choose
        from medseg.registrars.diffeomorphic import VelocityField

        device = str(choose(options.device).device)
        return VelocityField(
            preset,
            options.measure or "lncc",
            options.linear,
            options.symmetric,
            options.start,
            options.turns,
            options.seed,
            device,
        )

    return opened


def _symnet(options: Options) -> Registrar:
    from medseg.inference.device import choose
    from medseg.registrars.symnet import SymNetRegistrar

    if not options.weights:
        raise BadInput("engine symnet needs the file of its weights; give --weights FILE")
    device = str(choose(options.device).device)
    return SymNetRegistrar(Path(options.weights), options.refine, turns=options.turns, seed=options.seed, device=device)


def _learned(options: Options) -> Registrar:
    from medseg.engines.registration_cards import opened
    from medseg.inference.device import choose
    from medseg.registrars.learned import LearnedRegistrar

    if not options.weights:
        raise BadInput("engine learned needs a network that medseg train made; give --weights RUN")
    card, path = opened(Path(options.weights))
    return LearnedRegistrar(card, path, _around(card.name, options, str(choose(options.device).device)))


def _unigradicon(options: Options) -> Registrar:
    from medseg.inference.device import choose
    from medseg.registrars.unigradicon import UniGradIconRegistrar

    if not options.weights:
        raise BadInput("engine unigradicon needs the file of its weights; give --weights FILE")
    around = _around("uniGradICON", options, str(choose(options.device).device))
    return UniGradIconRegistrar(Path(options.weights), around)


def _around(name: str, options: Options, device: str) -> Around:
    from medseg.registrars.around_network import Around

    measure = options.measure or "lncc"
    return Around(name, options.refine, measure, options.linear, options.turns, options.seed, device)


def _not_symmetric(options: Options, name: str) -> None:
    if options.symmetric:
        raise BadInput(f"engine {name} is not symmetric; choose svf-fast or svf-accurate")


_ALL = (
    Engine("rigid", "Rigid (SimpleITK)", _sitk("rigid")),
    Engine("similarity", "Rigid and scale (SimpleITK)", _sitk("similarity")),
    Engine("affine", "Affine (SimpleITK)", _sitk("affine")),
    Engine("fast-rigid", "Rigid on coarse grids (PyTorch)", _coarse("rigid")),
    Engine("fast-affine", "Affine on coarse grids (PyTorch)", _coarse("affine")),
    Engine("landmarks-rigid", "Rigid by landmarks", _landmarks("rigid"), True),
    Engine("landmarks-similarity", "Rigid and scale by landmarks", _landmarks("similarity"), True),
    Engine("landmarks-affine", "Affine by landmarks", _landmarks("affine"), True),
    Engine("landmarks-thin-plate", "Thin-plate spline through landmarks", _landmarks("thin-plate"), True),
    Engine("bspline", "Affine and B-splines (elastix)", _bspline),
    Engine("svf-fast", "Diffeomorphic velocity field to 2 mm (PyTorch)", _velocity("fast")),
    Engine("svf-accurate", "Diffeomorphic velocity field to 1 mm (PyTorch)", _velocity("accurate")),
    Engine("symnet", "SYMNet, skull-stripped brains, weights from your disk (PyTorch)", _symnet, needs_weights=True),
    Engine("unigradicon", "uniGradICON, weights from your disk (PyTorch)", _unigradicon, needs_weights=True),
    Engine("learned", "A network that medseg train made (PyTorch)", _learned, needs_weights=True),
)
ENGINES: Mapping[str, Engine] = {engine.name: engine for engine in _ALL}
