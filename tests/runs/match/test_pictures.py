"""One class under the eyes of a model: which examples are shown, what their averages are, which data are refused."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from easiness import figures
from easiness.datasets import open_dataset
from easiness.runs.match.pictures import class_sets, look_at_classes, reopen_dataset, shown_classes
from easiness.tracking import ScoreManifest
from tests.tiny_data import tiny_dataset
from tests.tiny_scores import score_manifest

LOOK = {"fraction": 0.2, "seed": 0, "resolution": 12}


def manifest_of(dataset):
    told = {
        "dataset": dataset.name,
        "opened_as": dataset.kind,
        "skipped": dataset.skipped,
        "fingerprint": dataset.fingerprint,
    }
    return ScoreManifest(**score_manifest(**told))


def test_classes_of_the_paper_and_a_sensible_one_elsewhere():
    ten = ("bird", "dog", "horse")
    assert shown_classes("cifar10", ten, None) == ("dog", "horse")
    assert shown_classes("folder", ten, None) == ("bird", "bird")
    assert shown_classes("cifar10", ten, "bird") == ("bird", "bird")
    with pytest.raises(ValueError, match="no class 'Hors'; class_name must be one of horse"):
        shown_classes("cifar10", ten, "Hors")
    with pytest.raises(ValueError, match=r"one of c0, .*, c11 …"):
        shown_classes("folder", tuple(f"c{k}" for k in range(1000)), "none")


def test_averages_are_those_of_the_sets_in_float64():
    dataset = tiny_dataset(120)
    easiness_N = np.random.default_rng(0).normal(size=120)
    found = class_sets(dataset, easiness_N, "class 1", "net", **LOOK)
    members = np.flatnonzero(dataset.labels == 1)
    ordered = members[np.argsort(easiness_N[members])]
    for name, rows in (("easy", ordered[:8]), ("hard", ordered[-8:])):
        average_HWC = found[name].average_HWC
        assert average_HWC.dtype == np.float64
        np.testing.assert_allclose(average_HWC, dataset.images[rows].astype(np.float64).mean(axis=0), rtol=1e-12)
        plain = np.corrcoef(dataset.images[rows].reshape(8, -1).astype(np.float64))
        assert found[name].diversity == pytest.approx(1 - (plain.sum() - 8) / 56)
    assert {each.images for each in found.values()} == {8}
    random = [
        class_sets(dataset, easiness_N, "class 1", model, **LOOK | {"seed": seed})["random"].diversity
        for model, seed in (("net", 0), ("net", 1), ("other", 0))
    ]
    assert random[0] == found["random"].diversity
    assert len(set(random)) == 3  # each seed and each model has its own


def test_a_planted_order_of_diversity_is_found():
    dataset = tiny_dataset(300)
    likeness_N = np.linspace(1, 0, 300)[:, None, None, None]
    dataset.images[:] = likeness_N * dataset.images[0] + (1 - likeness_N) * dataset.images
    sets = class_sets(dataset, -likeness_N.ravel(), "class 0", "net", **LOOK)
    assert sets["easy"].high < sets["random"].low
    assert sets["random"].diversity < sets["hard"].diversity


def test_both_figures_under_every_model_and_the_table(caplog):
    dataset = tiny_dataset(60)
    tables = {
        model: pd.DataFrame(
            {
                "example_id": dataset.example_ids,
                "class_name": [dataset.class_names[label] for label in dataset.labels],
                "score": np.random.default_rng(seed).random(60),
            }
        )
        for seed, model in enumerate(("one", "two:x"))
    }
    moments = {"one": "9 updates", "two:x": "30 updates"}
    drawn, table = look_at_classes(dataset, tables, ("class 0", "class 2"), moments, unit="nats", **LOOK)
    assert set(drawn) == {f"{fig}_{model}" for fig in ("fig1_class_0", "fig2_class_2") for model in ("one", "two_x")}
    assert list(table["model"]) == ["one"] * 9 + ["two:x"] * 9
    assert list(table["class_name"].unique()) == ["class 0", "class 1", "class 2"]
    assert (table["low"] <= table["diversity"]).all()
    for (class_name, model), rows in table.groupby(["class_name", "model"]):
        alone = class_sets(dataset, tables[model]["score"].to_numpy(), class_name, model, **LOOK)
        assert dict(zip(rows["set"], rows["diversity"], strict=True)) == {
            name: measured.diversity for name, measured in alone.items()
        }
    for figure in ("fig1_class_0", "fig2_class_2"):
        assert "one after 9 updates" in words(drawn[f"{figure}_one"])
        assert "two:x after 30 updates" in words(drawn[f"{figure}_two_x"])
    captions = [text.get_text() for text in drawn["fig1_class_0_one"].axes[0].texts]
    easiest = tables["one"].query("class_name == 'class 0'").sort_values("score").iloc[0]
    assert f"#{easiest.example_id}\n{easiest.score:.2f} nats" in captions
    small = LOOK | {"fraction": 0.1}
    drawn, table = look_at_classes(dataset, tables, ("class 0", "class 2"), moments, **small)
    assert table.empty
    assert set(drawn) == {"fig1_class_0_one", "fig1_class_0_two_x"}
    assert "a share of 0.1 leaves fewer than 3 images: class 0, class 1, class 2" in caplog.text


def words(figure):
    """All that a figure says, in one line."""
    return " ".join(text.get_text() for axes in figure.axes for text in axes.texts).replace("\n", " ")


def write_images(root, sizes):
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (root / "train" / name).mkdir(parents=True)
        (root / "val" / name).mkdir(parents=True)
        for i, size in enumerate(sizes):
            for part in ("train", "val"):
                image = rng.integers(0, 256, (*size, 3), np.uint8)
                Image.fromarray(image).save(root / part / name / f"{i:02}.png")
    return open_dataset("folder", root)


def test_images_of_one_size_stay_exact_and_others_are_cut(tmp_path):
    dataset = write_images(tmp_path / "even", [(9, 14)] * 6)
    found = class_sets(dataset, np.arange(12.0), "dog", "net", **LOOK | {"fraction": 0.5})
    exact = np.stack([dataset.images[row] for row in (6, 7, 8)]).astype(np.float64).mean(axis=0)
    np.testing.assert_allclose(found["easy"].average_HWC, exact, rtol=1e-12)
    dataset = write_images(tmp_path / "odd", [(9, 14), (20, 8), (30, 30), (14, 9), (9, 9), (50, 12)])
    found = class_sets(dataset, np.arange(12.0), "dog", "net", **LOOK | {"fraction": 0.5})
    assert found["easy"].average_HWC.shape == (12, 12, 3)


def rows_of(dataset):
    return pd.DataFrame({"example_id": dataset.example_ids, "label": dataset.labels})


def test_data_are_opened_again_only_if_they_are_the_same(tmp_path):
    dataset = write_images(tmp_path / "here", [(9, 14)] * 6)
    manifest = manifest_of(dataset)
    (tmp_path / "here").rename(tmp_path / "there")
    assert reopen_dataset(manifest, rows_of(dataset), tmp_path / "there").fingerprint == dataset.fingerprint
    with pytest.raises(OSError, match="here"):
        reopen_dataset(manifest, rows_of(dataset), tmp_path / "here")
    with pytest.raises(ValueError, match=f"and the scores are of {'0' * 12}"):
        reopen_dataset(replace(manifest, fingerprint="0" * 64), rows_of(dataset), tmp_path / "there")


def test_a_part_of_the_data_is_found_by_its_example_ids(tmp_path):
    part = write_images(tmp_path, [(9, 14)] * 6).subset([7, 2, 11])
    again = reopen_dataset(manifest_of(part), rows_of(part), tmp_path)
    assert list(again.sources) == list(part.sources)
    with pytest.raises(ValueError, match="outside 0 to 11"):
        reopen_dataset(manifest_of(part), rows_of(part).assign(example_id=[7, 2, 12]), tmp_path)


def test_decided_labels_are_those_of_the_table(tmp_path):
    dataset = write_images(tmp_path, [(9, 14)] * 6)
    decided = replace(dataset, labels=1 - dataset.labels).subset(range(1, 12))
    manifest = replace(manifest_of(decided), label_changes={"decisions": "0" * 64})
    assert list(reopen_dataset(manifest, rows_of(decided), tmp_path).labels) == list(decided.labels)
    with pytest.raises(ValueError, match="have fingerprint"):
        reopen_dataset(replace(manifest, label_changes={}), rows_of(decided), tmp_path)


def test_files_that_were_skipped_are_skipped_again(tmp_path):
    write_images(tmp_path / "bad", [(9, 14)] * 6)
    (tmp_path / "bad" / "train" / "cat" / "zz.png").write_bytes(b"no image")
    dataset = open_dataset("folder", tmp_path / "bad", skip_bad=True)
    assert reopen_dataset(manifest_of(dataset), rows_of(dataset), tmp_path / "bad").fingerprint == dataset.fingerprint


def test_figures_can_be_saved(tmp_path):
    dataset = tiny_dataset(60)
    table = pd.DataFrame({"example_id": dataset.example_ids, "class_name": "class 0", "score": np.arange(60.0)})
    drawn, _ = look_at_classes(dataset, {"one": table}, ("class 0", "class 0"), {"one": "9 updates"}, **LOOK)
    for name, figure in drawn.items():
        assert figures.save(figure, tmp_path / f"{name}.png").stat().st_size > 1000
