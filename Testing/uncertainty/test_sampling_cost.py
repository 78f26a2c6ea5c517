"""What makes samples cheap changes nothing about them: joined channels, masks from raw bits, the fast way."""

import gc
import weakref

import pytest
import torch
from torch import nn

from medseg.inference.late_dropout_unet import LateDropoutUNet
from medseg.inference.sampling import joining
from medseg.inference.sampling.agreement import Agreement
from medseg.inference.sampling.blocks import CERTAIN, Task, sampled
from medseg.inference.sampling.dropout import dropout, naive
from medseg.inference.sampling.masks import Draw, dropout_layers, dropping, kept_channels, kept_places
from medseg.sampling import Sampling

HOW = Sampling("dropout", samples=4, seed=7)
CPU = torch.device("cpu")


class Joined(nn.Module):
    """Encoder features joined with dropped ones: by a convolution, a transposed one, and by something else."""

    def __init__(self, order=(0, 1), also_elsewhere=False):
        super().__init__()
        self.encoder = nn.Conv3d(1, 4, 3, padding=1)
        self.drop = nn.Dropout3d(0.4)
        self.both = nn.Conv3d(10, 5, 3, padding=1)
        self.wide = nn.ConvTranspose3d(9, 3, 2, stride=2)
        self.order, self.also_elsewhere = order, also_elsewhere

    def forward(self, images):
        known = self.encoder(images)
        dropped = self.drop(torch.cat([known, -known.square()], 1)[:, :6])
        parts = [known, dropped]
        joined = torch.cat([parts[n] for n in self.order], 1)
        found = self.both(joined)
        if self.also_elsewhere:
            found = found + joined[:, :5].tanh()
        return self.wide(torch.cat((known, found), dim=1))


@pytest.fixture
def window():
    return torch.rand(1, 1, 8, 8, 8, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def without_garbage_collection():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@torch.inference_mode()
def samples(method, images):
    shared = method.shared(images)
    return [predictor(shared) for predictor in method.predictors(0)]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("elsewhere", [False, True])
def test_channels_joined_late_give_what_joining_them_gives(window, order, elsewhere):
    torch.manual_seed(0)
    network = Joined(order, elsewhere).eval()
    found, wanted = (
        samples(dropout(network, "softmax", HOW, ""), window),
        samples(naive(network, "softmax", HOW), window),
    )
    assert max(float((a - b).abs().max()) for a, b in zip(found, wanted, strict=True)) < 1e-5
    assert not torch.equal(found[0], found[1])


def test_a_convolution_of_known_and_dropped_channels_computes_the_latter_alone(window, monkeypatch):
    widths = []
    plain = joining._CONVOLUTIONS[nn.Conv3d]

    def counted(images, *rest):
        widths.append(images.shape[1])
        return plain(images, *rest)

    monkeypatch.setitem(joining._CONVOLUTIONS, nn.Conv3d, counted)
    samples(dropout(Joined().eval(), "softmax", HOW, ""), window)
    assert widths == [4, 6, 6, 6, 6]  # the known four once, the dropped six for each sample


def test_what_a_window_s_samples_share_is_freed_with_the_window(window, without_garbage_collection):
    network, features = Joined().eval(), []
    network.encoder.register_forward_hook(lambda _layer, _inputs, found: features.append(weakref.ref(found)))
    samples(dropout(network, "softmax", HOW, ""), window)
    assert features
    assert all(kept() is None for kept in features)


class Rewritten(Joined):
    """Writes into what was joined, after it was joined."""

    def forward(self, images):
        known = self.encoder(images)
        dropped = self.drop(torch.cat([known, -known.square()], 1)[:, :6])
        joined = torch.cat([known, dropped], 1)
        dropped.mul_(-3)
        return self.both(joined) + dropped[:, :5]


def test_what_is_written_to_after_it_was_joined_is_joined_as_it_was(window):
    torch.manual_seed(0)
    network = Rewritten().eval()
    found, wanted = (
        samples(dropout(network, "softmax", HOW, ""), window),
        samples(naive(network, "softmax", HOW), window),
    )
    assert max(float((a - b).abs().max()) for a, b in zip(found, wanted, strict=True)) < 1e-5


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_masks_drop_at_their_rate_and_independently(rate):
    kept = kept_places((50, 100, 101), rate, CPU, ("rate",)).float()
    assert float(kept.mean()) == pytest.approx(1 - rate, abs=0.003)
    for axis in range(3):  # neighbours that share a number of the generator among them
        pairs = kept.roll(1, axis) * kept
        assert float(pairs.mean()) == pytest.approx((1 - rate) ** 2, abs=0.004)
    assert torch.equal(kept.bool(), kept_places((50, 100, 101), rate, CPU, ("rate",)))
    assert not torch.equal(kept.bool(), kept_places((50, 100, 101), rate, CPU, ("other",)))


def test_masked_weights_are_masked_features():
    torch.manual_seed(0)
    network = LateDropoutUNet(1, 3, (4, 8, 8), dropout=0.5).eval()
    features, draw = torch.rand(1, 4, 5, 6, 7), Draw(3, 1, 0)
    method = dropout(network, "softmax", Sampling("dropout", 3, 3), "")
    found = [predictor(features) for predictor in method.predictors(0)][1]
    with dropping(list(dropout_layers(network).items()), draw):
        wanted = network.head(features)
    assert torch.allclose(found, wanted, atol=1e-5)
    assert set(kept_channels(network.dropout, draw, "dropout", 4, CPU).tolist()) <= {0.0, 2.0}


class Half(nn.Module):
    """Sure of class 0 in one half of the image, in doubt in the other."""

    def __init__(self):
        super().__init__()
        self.drop = nn.Dropout3d(0.5)
        self.last = nn.Conv3d(2, 2, 1, bias=False)
        self.last.weight.data = torch.tensor([[4.0, 1.0], [-4.0, 0.5]])[..., None, None, None]

    def forward(self, images):
        sure = (images > 0).float() * 5
        return self.last(torch.cat([sure, self.drop(1 + 0 * sure)], 1))


@torch.inference_mode()
def reduced(method, how, images):
    task = Task(method, how, False, Agreement())
    mean, measures = sampled(task, method.shared(images), method.predictors(0))
    return mean, dict(zip(task.measures, measures, strict=True)), task.agreement


def test_the_fast_way_samples_where_the_network_is_in_doubt_alone():
    images = torch.ones(1, 1, 4, 4, 4)
    images[..., 2:] = -1
    how = Sampling("dropout", 8, seed=1, fast=True)
    network = Half().eval()
    mean, found, agreement = reduced(dropout(network, "softmax", how, ""), how, images)
    with torch.inference_mode():
        plain = network(images).softmax(1).movedim(1, 0)
    sure = images[:, 0] > 0
    assert torch.allclose(mean[:, sure], plain[:, sure])
    assert float(found["predictive_entropy"][sure].max()) < CERTAIN
    assert not found["variance"][sure].any()
    assert float(found["variance"][~sure].min()) > 0
    assert max(agreement.samples) <= 8


def test_the_fast_way_counts_every_voxel_when_samples_are_compared():
    images = torch.ones(1, 1, 4, 4, 4)
    images[..., 2:] = -1
    how = Sampling("dropout", 6, seed=1, fast=True)
    _, _, agreement = reduced(dropout(Half().eval(), "softmax", how, ""), how, images)
    shared = agreement._counts[0]
    assert torch.all(shared.diagonal().sum(0) == images.numel())


def test_where_there_is_no_doubt_at_all_nothing_is_sampled():
    how = Sampling("dropout", 6, seed=1, fast=True)
    network = Half().eval()
    calls = []
    network.last.register_forward_hook(lambda *_: calls.append(1))
    mean, found, _ = reduced(dropout(network, "softmax", how, ""), how, torch.ones(1, 1, 4, 4, 4))
    assert len(calls) <= 2  # the plain network, and the look for its last layer
    assert not found["disagreement"].any()
    assert float(mean[0].min()) > 0.99


def test_late_dropout_has_a_fast_way_too():
    torch.manual_seed(0)
    network = LateDropoutUNet(1, 3, (4, 8, 8), dropout=0.5).eval()
    window = torch.rand(1, 1, 16, 16, 16)
    slow, fast = (Sampling("dropout", 10, 2, fast=f) for f in (False, True))
    wanted = reduced(dropout(network, "softmax", slow, ""), slow, window)[1]
    found = reduced(dropout(network, "softmax", fast, ""), fast, window)[1]
    assert float((found["predictive_entropy"] - wanted["predictive_entropy"]).abs().mean()) < 0.03
    assert float(found["variance"].max()) > 0
