from lcbench.datasets.features import catalog
from lcbench.datasets.features.catalog import PrecomputedFeature
from lcbench.report.tables import features as features_tables
from printed import printed


def test_missing_packages_have_their_install_command(monkeypatch):
    monkeypatch.setattr(catalog, "find_spec", lambda package: None)
    lines = printed(features_tables.catalog_table(1600))
    assert lines[-2:] == [
        "skimage, for hog, is not installed: pip install 'lcbench[lab]'",
        "sklearn, for words, words-hard, is not installed: pip install 'lcbench[lab]'",
    ]
    available = {line["name"]: not line["missing"] for line in features_tables.catalog_list(1600)}
    assert available == {"colour": True, "hog": False, "hog-assignment": True, "words": False, "words-hard": False}


def test_large_numbers_fit_in_eighty_columns():
    files = {split: f"/a/folder/features/words-{split}.h5" for split in ("train", "validation", "test")}
    done = [
        PrecomputedFeature("words-hard", 400_000, 1_000_000, 12_345.6, False, files),
        PrecomputedFeature("hog-assignment", 144, 1_000_000, 0.0123, True, files),
    ]
    lines = printed(features_tables.computed(done))
    words, hog = (line.split() for line in lines if line.startswith(("words-hard", "hog")))
    assert words == ["words-hard", "400,000", "1.46", "TiB", "3.43", "h", "computed"]
    assert hog == ["hog-assignment", "144", "549", "MiB", "12.3", "ms", "read"]
    assert lines[-1] == "stored in /a/folder/features, for train, validation, test"
