"""A bundle that runs code is refused until the user trusts exactly these files."""

import json
import re
import sys
import types

import pytest
import yaml

from medseg.errors import BadInput
from medseg.inference import bundle_config, bundle_files, bundle_parts
from medseg.inference.bundle import BundleSegmenter, card_of
from medseg.inference.device import choose
from medseg.progress import silent


def described(folder, trusted=""):
    return card_of(bundle_files.read(folder), trusted)


def touching(path):
    """An expression that leaves a trace if it is ever evaluated."""
    return f"$open({str(path)!r}, 'w').write('was here')"


def test_a_bundle_without_expressions_needs_no_trust(make_bundle):
    assert described(make_bundle()).bundle["trusted"] is False


def test_published_style_is_refused_with_findings_fingerprint_and_what_to_do(make_bundle):
    folder = make_bundle(published=True)
    with pytest.raises(BadInput) as refusal:
        described(folder)
    message = str(refusal.value)
    assert str(folder) in message
    assert "inference.json network: the expression" in message
    assert re.search(r"and \d+ more", message)
    assert f"--trust {bundle_files.fingerprint(folder)}" in message


PLACES = {
    "a value": lambda config, code: config.update(extra=code),
    "imports": lambda config, code: config.update(imports=[code]),
    "a nested list": lambda config, code: config.update(extra=[{"a": [[1, code]]}]),
    "a key": lambda config, code: config.update(extra={code: 1}),
    "requirements": lambda config, code: config["network_def"].update(_requires_=code),
    "an argument": lambda config, code: config["inferer"].update(roi_size=code),
    "a part that is never built": lambda config, code: config.update(run=[code]),
    "a disabled component": lambda config, code: config["network_def"].update(_disabled_=code),
    "the loader": lambda config, code: config["preprocessing"]["transforms"][0].update(reader=code),
    "a key that MONAI splits": lambda config, code: config.update({"network_def::norm": code}),
}


@pytest.mark.parametrize("place", PLACES)
def test_an_expression_is_found_anywhere_and_never_evaluated(make_bundle, tmp_path, place):
    trace = tmp_path / "trace"
    folder = make_bundle(change=lambda config: PLACES[place](config, touching(trace)))
    with pytest.raises(BadInput, match="the expression"):
        described(folder)
    assert not trace.exists()


def test_an_expression_in_the_metadata_is_found(make_bundle):
    folder = make_bundle(change=lambda config: config.update(extra="@_meta_::task"))
    path = folder / "configs" / "metadata.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "task": "$print('hello')"}))
    with pytest.raises(BadInput, match=re.escape("metadata.json task: the expression")):
        described(folder)


FOREIGN = [
    "os.system",
    "subprocess.run",
    "scripts.networks.Mine",
    "builtins.eval",
    "torch.load",
    "torch.hub.load",
    "torch.utils.cpp_extension.load",
    "numpy.load",
    "numpy.f2py.compile",
    "monai.bundle.run",
    "monai.bundle.download",
    "monai.apps.download_url",
    "download_url",
    "monai.transforms.Lambdad",
    "Lambdad",
    "TorchVisiond",
    "CuCIMd",
    "monai.transforms.io.array.os.system",  # MONAI walks through attributes: this is os.system
    "monai.networks.nets.unet.torch.load",
    "monai.transforms.compose.np.load",
    "TorchVisionFCModel",
    "@network_def",
    "%network_def",
    "",
    {"a": 1},
    None,
]


@pytest.mark.parametrize("target", FOREIGN, ids=str)
def test_a_target_that_is_not_known_to_be_safe_is_refused(make_bundle, target):
    step = {"_target_": target, "keys": "image"}
    folder = make_bundle(change=lambda config: config["preprocessing"]["transforms"].append(step))
    with pytest.raises(BadInput, match=re.escape("preprocessing::transforms::6: _target_")):
        described(folder)


def test_a_target_hidden_in_a_key_that_monai_splits_is_refused(make_bundle):
    folder = make_bundle(change=lambda config: config.update({"network_def::_target_": "os.system"}))
    with pytest.raises(BadInput, match=re.escape("network_def: _target_")):
        described(folder)


@pytest.mark.parametrize(
    "target",
    ["UNet", "monai.networks.nets.UNet", "Compose", "monai.transforms.Spacingd", "monai.inferers.SlidingWindowInferer",
     "torch.device", "torch.nn.Conv3d", "torch.nn.modules.activation.ReLU", "numpy.float32", "Unet", "SpacingD",
     "monai.data.DataLoader", "SupervisedEvaluator", "CheckpointLoader", "StatsHandler", "LoadImaged", "SaveImaged"],
)  # fmt: skip
def test_components_that_published_bundles_use_are_not_refused(target):
    assert bundle_config.findings({"component": {"_target_": target}}) == []


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ({"_mode_": "debug"}, "_mode_"),
        ({"_debug_": True}, "debugger"),
        ({"pretrained": True}, "downloads weights"),
    ],
)
def test_arguments_that_make_a_safe_component_unsafe_are_refused(make_bundle, extra, said):
    folder = make_bundle(change=lambda config: config["network_def"].update(extra))
    with pytest.raises(BadInput, match=said):
        described(folder)


@pytest.mark.parametrize("macro", ["%other.json::x", "%/tmp/other.yaml::x", "%configs/other.YML", "%#x", "%::x"])
def test_a_macro_that_may_read_another_file_is_refused(make_bundle, macro):
    folder = make_bundle(change=lambda config: config.update(extra={"a": macro}))
    with pytest.raises(BadInput, match="macro"):
        described(folder)


def test_a_file_cannot_be_read_by_a_relative_macro_below_a_key_that_is_a_path(make_bundle, tmp_path):
    trace, other = tmp_path / "trace", tmp_path / "other.json"
    other.write_text(json.dumps({"x": touching(trace)}))
    folder = make_bundle(change=lambda config: config.update({str(other): {"a": "%#x"}, "inferer": f"@{other}::a"}))
    with pytest.raises(BadInput, match="macro"):
        described(folder)
    assert not trace.exists()


def test_a_macro_within_the_configuration_is_fine(make_bundle, new_volume, segment):
    def share(config):
        config["channels"] = config["network_def"]["channels"]
        config["network_def"]["channels"] = "%channels"

    folder = make_bundle(change=share)
    assert segment(folder, new_volume()).segmentation.layers == 1


def test_readers_and_writers_are_never_built(make_bundle, new_volume, segment, tmp_path):
    trace = tmp_path / "trace"

    def change(config):
        config["preprocessing"]["transforms"][0]["reader"] = "pathlib.Path.touch"
        config["postprocessing"]["transforms"][-1] |= {"output_dir": str(trace), "writer": "pathlib.Path.touch"}

    segment(make_bundle(change=change), new_volume())
    assert not trace.exists()


def test_what_turns_out_to_run_code_after_parsing_is_refused_too(make_bundle, monkeypatch, tmp_path):
    trace = tmp_path / "trace"
    folder = make_bundle(change=lambda config: config.update(extra=touching(trace)))
    monkeypatch.setattr(bundle_config, "findings", lambda *_: [])  # as if the search had missed it
    with pytest.raises(BadInput, match="turned out to run code at extra"):
        BundleSegmenter(described(folder), folder, choose("cpu"))
    assert not trace.exists()


def test_a_tiny_yaml_that_unfolds_to_billions_is_refused(make_bundle):
    folder = make_bundle()
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    (folder / "configs" / "inference.json").unlink()
    (folder / "configs" / "inference.yaml").write_text("\n".join(lines))
    with pytest.raises(BadInput, match="unfolds"):
        described(folder)


@pytest.mark.parametrize("text", ["{", "[1, 2]", '{"a": ' * 100_000, '{"a": ' * 100 + "1" + "}" * 100])
def test_a_broken_or_absurd_configuration_is_bad_input(make_bundle, text):
    folder = make_bundle()
    (folder / "configs" / "inference.json").write_text(text)
    with pytest.raises(BadInput, match=r"inference\.json|nested"):
        described(folder)


def test_yaml_tags_that_make_objects_are_refused(make_bundle, tmp_path):
    folder, trace = make_bundle(), tmp_path / "trace"
    (folder / "configs" / "inference.json").unlink()
    (folder / "configs" / "inference.yaml").write_text(f"a: !!python/object/apply:pathlib.Path.touch [{trace}]\n")
    with pytest.raises(BadInput, match=r"inference\.yaml cannot be read"):
        described(folder)
    assert not trace.exists()


# trust


def test_a_trusted_bundle_is_evaluated(make_bundle, new_volume, segment):
    folder = make_bundle(published=True)
    prediction = segment(folder, new_volume(), trust=True)
    assert prediction.provenance.options["trusted"] is True


def test_a_wrong_fingerprint_is_refused_and_both_are_named(make_bundle):
    folder = make_bundle(published=True)
    with pytest.raises(BadInput, match=f"{bundle_files.fingerprint(folder)}.*{'0' * 64}"):
        described(folder, "0" * 64)


def test_a_wrong_fingerprint_is_refused_even_where_no_code_runs(make_bundle):
    with pytest.raises(BadInput, match="not the one that is trusted"):
        described(make_bundle(), "0" * 64)


def change_script(folder):
    (folder / "scripts" / "mine.py").write_text("FACTOR = 2\n")


def add_module(folder):
    (folder / "glob.py").write_text("print('shadow')\n")


def change_weights(folder):
    with (folder / "models" / "model.pt").open("ab") as stream:
        stream.write(b"x")


def change_metadata(folder):
    path = folder / "configs" / "metadata.json"
    path.write_text(path.read_text() + " ")


def rename_config(folder):
    (folder / "configs" / "train.json").rename(folder / "configs" / "train2.json")


@pytest.mark.parametrize("tamper", [change_script, add_module, change_weights, change_metadata, rename_config])
def test_any_later_change_ends_the_trust(make_bundle, tamper):
    folder = make_bundle(published=True)
    (folder / "scripts").mkdir()
    (folder / "scripts" / "mine.py").write_text("FACTOR = 1\n")
    (folder / "configs" / "train.json").write_text("{}")
    card = described(folder, bundle_files.fingerprint(folder))
    BundleSegmenter(card, folder, choose("cpu"))
    tamper(folder)
    with pytest.raises(BadInput, match="not the one that is trusted"):
        BundleSegmenter(card, folder, choose("cpu"))


def test_papers_and_compiled_files_do_not_end_the_trust(make_bundle):
    folder = make_bundle(published=True)
    before = bundle_files.fingerprint(folder)
    for name in ("docs", "eval", "scripts/__pycache__"):
        (folder / name).mkdir(parents=True)
        (folder / name / "file").write_text("new")
    assert bundle_files.fingerprint(folder) == before


def test_a_linked_folder_cannot_be_fingerprinted(make_bundle, tmp_path):
    folder = make_bundle(published=True)
    (tmp_path / "elsewhere").mkdir()
    (folder / "scripts").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    with pytest.raises(BadInput, match="link to a folder"):
        described(folder, "0" * 64)


def scripted_bundle(make_bundle, name, factor):
    """A bundle whose own script scales the image, imported as `scripts`, like many in the model zoo."""

    def change(config):
        config["preprocessing"]["transforms"].append({"_target_": "scripts.scale.Scale", "keys": "image"})

    folder = make_bundle(name, published=True, change=change)
    (folder / "scripts").mkdir()
    (folder / "scripts" / "__init__.py").write_text("")
    (folder / "scripts" / "scale.py").write_text(
        "class Scale:\n"
        "    def __init__(self, keys): self.keys = keys\n"
        "    def __call__(self, data):\n"
        "        from scripts.factor import FACTOR\n"
        "        return {**data, self.keys: data[self.keys] * 0 + FACTOR}\n"
    )
    (folder / "scripts" / "factor.py").write_text(f"FACTOR = {factor}\n")
    return folder


def test_two_bundles_with_scripts_of_the_same_name_do_not_mix(make_bundle, new_volume, open_):
    engines = [open_(scripted_bundle(make_bundle, f"b{factor}", factor), trust=True) for factor in (3, 5)]
    path, modules = list(sys.path), set(sys.modules)
    for _ in range(2):
        for engine, factor in zip(engines, (3, 5), strict=True):
            seen = []
            engine._parts.network.register_forward_pre_hook(lambda _n, inputs, seen=seen: seen.append(inputs[0]))
            engine.predict([new_volume()], silent)
            assert float(seen[0].max()) == factor
    assert sys.path == path
    assert not any(name.partition(".")[0] == "scripts" for name in set(sys.modules) - modules)


def test_a_package_of_the_same_name_that_is_in_use_elsewhere_is_neither_used_nor_lost(
    make_bundle, new_volume, segment, monkeypatch
):
    others = types.ModuleType("scripts")
    monkeypatch.setitem(sys.modules, "scripts", others)
    segment(scripted_bundle(make_bundle, "b", 3), new_volume(), trust=True)
    assert sys.modules["scripts"] is others


def test_running_a_bundle_leaves_it_as_it_was(make_bundle, new_volume, segment):
    folder = scripted_bundle(make_bundle, "b", 1)
    before = sorted(folder.rglob("*"))
    segment(folder, new_volume(), trust=True)
    assert sorted(folder.rglob("*")) == before


def test_planted_compiled_scripts_are_not_run(tmp_path):
    import importlib.util
    import py_compile

    folder = tmp_path / "bundle"
    folder.mkdir()
    source, evil = folder / "honest_script.py", tmp_path / "evil.py"
    source.write_text("ANSWER = 'good'\n")
    evil.write_text("ANSWER = 'evil'\n")
    planted = importlib.util.cache_from_source(str(source))
    py_compile.compile(str(evil), planted, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    with bundle_parts.importing_from(folder):
        import honest_script

        assert honest_script.ANSWER == "good"
    assert "honest_script" not in sys.modules


def test_a_script_that_breaks_is_named(make_bundle, open_):
    folder = scripted_bundle(make_bundle, "b", 1)
    (folder / "scripts" / "scale.py").write_text("raise ValueError('no licence')\n")
    with pytest.raises(BadInput, match="preprocessing cannot be built"):
        open_(folder, trust=True)


def test_configurations_in_yaml_are_searched_too(make_bundle):
    folder = make_bundle(extension="yaml", change=lambda config: config.update(extra="$1"))
    assert "$1" in yaml.safe_load((folder / "configs" / "inference.yaml").read_text())["extra"]
    with pytest.raises(BadInput, match=r"inference\.yaml extra: the expression"):
        described(folder)
