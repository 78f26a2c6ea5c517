"""The other side as a proposal, found in the worker: fitting a mid-plane takes a second, and blocks who does it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from medseg.correction import symmetry
from medseg.engines import wire
from medseg.engines.client import WorkerClient
from medseg.engines.job import Job
from medseg.engines.messages import Message
from medseg.engines.shared_folder import SharedFolder
from medseg.image_view import ImageView
from medseg.notices import collected
from medseg.progress import Progress
from medseg.segmentation import Mask, Segment, Segmentation


@dataclass(frozen=True, eq=False)
class Mirrored:
    """A segment as seen on the other side, shape (k, j, i), and what the user must know of it."""

    mask: Mask
    notices: Sequence[str]


@dataclass(frozen=True, eq=False)
class Mirroring:
    """What is asked.

    Attributes:
        image: the head, or the radiograph.
        labels: the segments, on the voxels of the image, without layers.
        source: the segment that is right, in `labels`.
        other: the mid-plane is fitted between the source and this one, in `labels`; without it, to the image.
    """

    image: ImageView
    labels: sitk.Image
    source: Segment
    other: Segment | None = None

    def begin(self, worker: WorkerClient) -> Job[Mirrored]:
        """Start the job; it fails where no middle can be fitted, or a segment is empty."""
        names = [segment.name for segment in self._segments]
        request: Message = {"type": "mirror", "names": names, "values": [s.value for s in self._segments]}
        views = [ImageView.of(self.labels), *([] if self.other else [self.image])]
        return worker.begin_asking(lambda _folder: request, views, _mirrored)

    @property
    def _segments(self) -> list[Segment]:
        return [self.source, self.other] if self.other else [self.source]


def _mirrored(answer: Message, folder: SharedFolder) -> Mirrored:
    image = wire.unpack_image(answer["image"], folder)
    return Mirrored(np.asarray(sitk.GetArrayFromImage(image) != 0), answer["notices"])


def _mirror(request: Message, folder: SharedFolder, progress: Progress) -> Message:
    labels, *images = (wire.unpack_image(image, folder) for image in request["images"])
    named = zip(request["values"], request["names"], strict=True)
    segments = tuple(Segment(value, name, (1.0, 1.0, 1.0)) for value, name in named)
    whole = Segmentation(labels, segments)
    progress(0.1, "fitting the middle")
    mirror = symmetry.from_image(images[0]) if images else symmetry.from_pair(whole, segments[0], segments[1])
    with collected() as notices:
        mask = symmetry.mirrored(whole, segments[0], mirror)
    found = wire.pack_image(whole.geometry.image(mask), folder)
    return {"type": "result", "notices": notices, "image": found}


ANSWERS = {"mirror": _mirror}
"""By the type of the request: from the request, the shared folder and whom to report to, to the answer."""
