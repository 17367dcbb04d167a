import pytest

from easiness.datasets.duplicates import mark_duplicates
from tests.tiny_data import tiny_dataset


def test_each_kind_is_counted_and_marked(caplog):
    train, val = tiny_dataset(9), tiny_dataset(4, split="val", seed=1)
    train.digests[3] = train.digests[0]  # of one class
    train.digests[5] = train.digests[1]  # of two
    val.digests[2] = train.digests[1]
    marked = mark_duplicates(train, val)
    expected = [""] * 9
    expected[0] = expected[3] = "train"
    expected[1] = expected[5] = "train, other label, val"
    assert marked.duplicates.tolist() == expected
    assert marked.fingerprint == train.fingerprint
    assert marked.subset([5, 2]).duplicates.tolist() == ["train, other label, val", ""]
    assert (
        "exact duplicates: 4 training examples share their content with another, 2 of them under another label; "
        "1 of 4 validation examples are training examples, too"
    ) in caplog.text


def test_nothing_is_said_of_none(caplog):
    assert not mark_duplicates(tiny_dataset(9), tiny_dataset(4, split="val", seed=1)).duplicates.any()
    assert not caplog.text


def test_a_training_set_alone(caplog):
    train = tiny_dataset(9)
    train.digests[3] = train.digests[0]
    assert mark_duplicates(train, None).duplicates.tolist()[:4] == ["train", "", "", "train"]
    assert caplog.messages == [
        "exact duplicates: 2 training examples share their content with another, 0 of them under another label"
    ]


def test_a_val_of_training_examples_is_refused():
    train, val = tiny_dataset(9), tiny_dataset(4, split="val", seed=1)
    val.digests[:] = train.digests[[0, 0, 4, 8]]
    with pytest.raises(ValueError, match="every validation example of planted is a training example, too"):
        mark_duplicates(train, val)
