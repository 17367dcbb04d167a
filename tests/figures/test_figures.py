"""Facts about the figures: what lines say, that nothing is cut off or written over, that files repeat."""

import ast
from itertools import combinations, product
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text

import easiness.figures
from easiness import figures
from easiness.figures import style, text_fit

NAN = float("nan")


def picture(height=32, width=32, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def sheet(images, captions, title=""):
    """One side alone: a sheet of pictures."""
    return figures.harder_for_either({"net": (images, captions), "other": ([], [])}, title)


def pair(name, length, **more):
    t = np.arange(1.0, length + 1)
    rate = 0.3 + 0.02 * t / length
    return {"name": name, "epochs": t, "rate": rate, "low": rate - 0.03, "high": rate + 0.03} | more


def arm(name, ratios=(0.0, 0.1, 0.3, 0.5, 0.9), seeds=3, **more):
    x = np.array(ratios)
    seeds_PS = 0.9 - 0.3 * x[:, None] ** 2 + np.linspace(-0.01, 0.01, seeds) * (seeds > 1)
    return {"name": name, "x": x, "accuracy": seeds_PS.mean(1), "seeds_PS": seeds_PS} | more


def spread(curve):
    return curve | {"low": curve["seeds_PS"].min(1), "high": curve["seeds_PS"].max(1)}


def difference(name, ratios=(0.1, 0.3, 0.5, 0.7, 0.9)):
    x = np.array(ratios)
    return {"name": name, "ratio": x, "difference": -0.1 * x, "low": -0.1 * x - 0.01, "high": -0.1 * x + 0.01}


LONG = "resnext29_4x64d against densenet_bc_100_12, trained for one epoch on all images that could be read"
MODELS = ("alexnet", "resnet18", "resnet50", "densenet121")
PAIRS = [f"{a} – {b}" for a, b in combinations(MODELS, 2)]
SPREAD = np.minimum(np.exp(np.random.default_rng(1).normal(-2, 2, 3000)), 9.0)  # nats, over some decades


def histogram(**more):
    low, high = np.quantile(SPREAD, [0.1, 0.9])
    return figures.easiness_histogram(SPREAD, easy_cut=low, hard_cut=high, **more)


TEN = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
ARMS = ("easy", "hard", "random", "stepwise")


def six_pairs():
    return [pair(n, 10, ceiling=np.full(10, 0.7), class_chance=np.full(10, 0.2)) for n in PAIRS]


# Every figure once, and again in the shapes that are awkward to draw.
SAMPLES = {
    "histogram": lambda: histogram(title=LONG),
    "histogram, groups": lambda: histogram(groups_N=np.resize(["majority", "minority", "wrong"], SPREAD.size)),
    "histogram, one example": lambda: figures.easiness_histogram([0.5], easy_cut=0.5, hard_cut=0.5),
    "histogram, no common cut": lambda: figures.easiness_histogram(SPREAD, easy_cut=None, hard_cut=None),
    "histogram, zeros": lambda: figures.easiness_histogram(np.zeros(30), easy_cut=0, hard_cut=0),
    "trajectory": lambda: figures.trajectory_by_decile(
        np.outer([1, 0.5, 0.2], SPREAD), np.arange(3000) % 10, [500_500, 1_001_000, 1_501_500]
    ),
    "trajectory, one moment": lambda: figures.trajectory_by_decile(SPREAD[None], np.arange(3000) % 10, [391]),
    "class counts": lambda: figures.class_counts(range(0, 1000, 100), range(1000, 0, -100), TEN),
    "class counts, 1000": lambda: figures.class_counts(
        np.arange(1000) % 37, np.arange(1000) % 41, [f"black-and-tan coonhound {k}" for k in range(1000)]
    ),
    "class counts, one": lambda: figures.class_counts([0], [0], ["猫"], title=LONG),
    "sheet": lambda: sheet([picture()] * 7, ["#12345 automobile\n0.0123"] * 7, LONG),
    "sheet, mixed sizes": lambda: sheet(
        [picture(8, 90), picture(90, 8), picture(375, 500), picture(1, 1)], ["n01682714_American_chameleon.JPEG"] * 4
    ),
    "sides, one each": lambda: figures.easiest_and_hardest(([picture()], ["a"]), ([picture()], ["b"]), LONG),
    "sides, two": lambda: figures.easiest_and_hardest(([picture()] * 2, ["$a$", "b"]), ([picture()], ["c"]), "dog"),
    "sides, ten": lambda: figures.easiest_and_hardest(
        ([picture()] * 10, ["#1 dog\n0.01"] * 10), ([picture(20, 30)] * 9, ["#2 dog\n9.01"] * 9), "dog"
    ),
    "sides, of two models": lambda: figures.harder_for_either(
        {LONG: ([picture()] * 8, ["dog\n#1\nz = +4.0"] * 8), "net": ([picture(20, 30)] * 3, ["cat"] * 3)}, LONG
    ),
    "averages": lambda: figures.average_images(
        {
            "easy": (np.full((32, 32, 3), 0.0), 3000, 2900, 3100),
            "random": (np.full((32, 32, 3), 127.5), 3400, 3300, 3500),
            "hard": (np.full((32, 32, 3), 255.0), 4000, NAN, NAN),
        },
        title=LONG,
    ),
    "matching": lambda: figures.matching_curves(
        {"easy": six_pairs(), "hard": six_pairs()}, chance=(0.1, 0.09, 0.11), title=LONG
    ),
    "matching, one moment": lambda: figures.matching_curves(
        {"hard": [pair(LONG, 1, ceiling=[0.6])]}, chance=(0.1, NAN, NAN)
    ),
    "sharing": lambda: figures.sharing_lines({"easy": sharing(5), "hard": sharing(5)}, title=LONG),
    "sharing, one moment, no control": lambda: figures.sharing_lines({"easy": sharing(1, control=False)}),
    "overlap": lambda: figures.overlap_heatmap(np.eye(10), np.arange(1, 11) * 50_050, title=LONG),
    "overlap, one moment": lambda: figures.overlap_heatmap([[1.0]], [391]),
    "overlap, sixty": lambda: figures.overlap_heatmap(np.full((60, 60), 0.5), np.arange(60) * 391),
    "repeats": lambda: figures.repeat_curves(
        {"easy": repeats(range(1, 11)), "hard": repeats(range(1, 11))}, targets=(0.8, 0.9), title=LONG
    ),
    "repeats, one moment": lambda: figures.repeat_curves({"hard": repeats([1], NAN)}, targets=(0.8,)),
    "sensitivity": lambda: figures.sensitivity_points(
        {"easy": cuts(6), "hard": cuts(6)}, ["0.05", "0.1", "0.2", "rank-biased\noverlap"], title=LONG
    ),
    "sensitivity, one pair, below luck": lambda: figures.sensitivity_points(
        {"hard": [{"name": LONG, "rate": [-0.1], "ceiling": [NAN]}]}, ["0.1"]
    ),
    "accuracy": lambda: figures.accuracy_against_removed(
        [spread(arm(name)) for name in (*ARMS, "mine")], unablated=0.9, title=LONG
    ),
    "accuracy, one place": lambda: figures.accuracy_against_removed([spread(arm("easy", (0.3,), seeds=1))]),
    "accuracy, seconds": lambda: figures.accuracy_against_removed(
        [spread(arm("easy", (100_000, 5.5)))], axis="seconds"
    ),
    "worst class": lambda: figures.accuracy_against_removed(
        [spread(arm("easy", (0.01, 0.02, 0.9)))], what="accuracy of the worst class"
    ),
    "differences": lambda: figures.paired_differences([difference(name) for name in ARMS], title=LONG),
    "removal": lambda: figures.removal_heatmap(np.ones((36, 10)), [f"stepwise {r} %" for r in range(36)]),
    "speed bars": lambda: figures.speed_bars(
        {"ours": [1.0, 1.1], LONG: [200.0, 250.0]}, unit="seconds · lower = better", title=LONG
    ),
    "speed bars, one": lambda: figures.speed_bars({"ours": [0.7]}, unit="share"),
    "growth": lambda: figures.scaling_curves(
        [5_000, 10_000, 25_000, 50_000],
        [10, 20, 50, 100],
        [0.5, 0.51, 0.55, 0.6],
        time_exponent=1.0,
        memory_exponent=0.08,
        x="number of examples",
        title=LONG,
    ),
    "growth, one size": lambda: figures.scaling_curves(
        [1], [10], [0.5], time_exponent=NAN, memory_exponent=NAN, x="number of processes"
    ),
    "removal, one": lambda: figures.removal_heatmap(np.full((1, 10), NAN), ["by an unusually long name"]),
}


def written(figure: Figure):
    """All text that is really drawn, with its place in pixels."""
    texts = [*figure.texts, *(t for legend in figure.legends for t in legend.get_texts())]
    if figure._suptitle is not None and figure._suptitle not in texts:
        texts.append(figure._suptitle)
    for axes in figure.axes:
        texts += axes.texts
        if not axes.axison:
            continue
        texts += [axes.title, axes._left_title, axes._right_title, axes.xaxis.label, axes.yaxis.label]
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            slack = 1e-9 * (high - low)
            texts += [
                tick.label1 for tick in axis.get_major_ticks()
                if low - slack <= tick.get_loc() <= high + slack and tick.label1.get_visible()
            ]  # fmt: skip
    renderer = FigureCanvasAgg(figure).get_renderer()
    return [(t.get_text(), t.get_window_extent(renderer)) for t in texts if t.get_visible() and t.get_text().strip()]


def words(figure: Figure) -> str:
    return " | ".join(text.replace("\n", " ") for text, _ in written(figure))


@pytest.fixture(params=SAMPLES.values(), ids=SAMPLES.keys())
def sample(request):
    return request.param()


def test_nothing_is_cut_off_written_over_or_too_small_for_a_phone(sample):
    width, height = sample.bbox.size
    boxes = written(sample)
    assert boxes
    for text, box in boxes:
        assert min(box.x0, box.y0, width - box.x1, height - box.y1) >= 0, f"{text!r} is cut off"
    for (text, box), (other, box2) in combinations(boxes, 2):
        across = min(box.x1, box2.x1) - max(box.x0, box2.x0)
        along = min(box.y1, box2.y1) - max(box.y0, box2.y0)
        assert across <= 1 or along <= 1, f"{text!r} lies over {other!r}"
    for legend, axes in product(sample.legends, sample.axes):
        assert not legend.get_window_extent().overlaps(axes.get_window_extent())
    pixels_per_point = 390 / sample.get_figwidth() / 72
    sizes = [text.get_fontsize() for text in sample.findobj(Text) if text.get_text()]
    assert min(sizes) * pixels_per_point > 9


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_saving_twice_gives_the_same_bytes(tmp_path, suffix):
    for name in ("matching, one moment", "sides, two"):
        figure = SAMPLES[name]()
        first = figures.save(figure, tmp_path / f"a.{suffix}").read_bytes()
        again = figures.save(figure, str(tmp_path / f"b.{suffix}")).read_bytes()
        afresh = figures.save(SAMPLES[name](), tmp_path / f"c.{suffix}").read_bytes()
        assert first == again == afresh
        assert len(first) > 1000
        # Neither a date nor a version, which would change the bytes tomorrow or elsewhere.
        assert b"Matplotlib v" not in first
        assert b"CreationDate" not in first
        assert b"<dc:date>" not in first


def test_the_reader_s_own_settings_neither_count_nor_change(tmp_path):
    plain = figures.save(SAMPLES["worst class"](), tmp_path / "plain.png").read_bytes()
    with matplotlib.rc_context({"font.size": 31, "axes.facecolor": "black", "text.usetex": False}):
        before = dict(matplotlib.rcParams)
        other = figures.save(SAMPLES["worst class"](), tmp_path / "other.png").read_bytes()
        assert dict(matplotlib.rcParams) == before
        with pytest.raises(ValueError, match="nothing to draw"):
            figures.class_counts([], [], [])
        assert dict(matplotlib.rcParams) == before
    assert other == plain


def test_a_png_is_twice_as_wide_as_a_phone(tmp_path):
    header = figures.save(SAMPLES["repeats"](), tmp_path / "a.png").read_bytes()[16:20]
    assert int.from_bytes(header, "big") == 780


def test_save_says_what_it_cannot_do(tmp_path):
    figure = SAMPLES["repeats"]()
    with pytest.raises(ValueError, match=r"'a\.jpg': end the name in \.png, \.svg or \.pdf"):
        figures.save(figure, tmp_path / "a.jpg")
    with pytest.raises(FileNotFoundError, match="no folder"):
        figures.save(figure, tmp_path / "absent" / "a.png")
    assert list(tmp_path.iterdir()) == []


def test_the_room_knows_numpy_and_matplotlib_and_no_global_state():
    modules = set()
    for path in Path(easiness.figures.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                modules |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                modules.add(node.module)
    foreign = {m.split(".")[0] for m in modules} & {
        "torch",
        "pandas",
        "mlflow",
        "scipy",
        "PIL",
        "torchvision",
    }
    assert not foreign
    assert all(m.startswith("easiness.figures") for m in modules if m.startswith("easiness"))
    assert "matplotlib.pyplot" not in modules


# ---------------------------------------------------------------- type that fits


@settings(deadline=None)
@given(st.text(max_size=60), st.floats(0.3, 4), st.integers(1, 4))
def test_fitted_text_keeps_to_its_width_and_lines(text, width, lines):
    fitted = text_fit.fit(text, width, 9, lines=lines).split("\n")
    assert len(fitted) <= lines
    assert all(text_fit.text_width(line, 9) <= width for line in fitted)


@settings(deadline=None)
@given(st.text("abc de", max_size=40))
def test_fitting_loses_nothing_that_has_room(text):
    fitted = text_fit.fit(text, 1.0, 9, lines=50)
    assert fitted.replace("\n", "").replace(" ", "") == text.replace(" ", "")


# ---------------------------------------------------------------- preview


def bar_totals(figure):
    return sum(round(patch.get_height()) for patch in figure.axes[0].patches)


def test_histogram_counts_every_example_and_marks_both_cuts():
    figure = figures.easiness_histogram(SPREAD, easy_cut=0.01, hard_cut=1.5)
    (axes,) = figure.axes
    assert axes.get_xscale() == "log"
    assert bar_totals(figure) == SPREAD.size
    assert [line.get_xdata()[0] for line in axes.lines] == [0.01, 1.5]
    assert "nats" in words(figure)
    assert "lower = easier" in words(figure)
    assert "easy set: at or below 0.01" in words(figure)
    assert "hard set: at or above 1.5" in words(figure)


def test_histogram_is_linear_where_values_lie_close():
    values = np.linspace(1, 3, 500)
    figure = figures.easiness_histogram(values, easy_cut=1.2, hard_cut=2.8)
    assert figure.axes[0].get_xscale() == "linear"
    assert bar_totals(figure) == 500


@pytest.mark.parametrize("value", [0.0, 2.302585, 1e30])
def test_histogram_of_values_that_are_all_alike(value):
    values = np.array([value, np.nextafter(value, np.inf)] * 5)
    figure = figures.easiness_histogram(values, easy_cut=value, hard_cut=value)
    assert bar_totals(figure) == 10


def test_histogram_takes_exact_zeros_into_its_first_bar_and_says_so():
    values = np.concatenate([np.zeros(7), SPREAD])
    figure = figures.easiness_histogram(values, easy_cut=0.0, hard_cut=1.5)
    assert bar_totals(figure) == values.size
    assert "first bar: and 7 below" in words(figure)
    assert figure.axes[0].lines[0].get_xdata()[0] > 0  # the cut at 0 stands at the left end
    assert "at or below 0" in words(figure)


def test_histogram_stacks_groups_with_the_largest_below():
    groups = np.repeat(["wrong", "majority", "minority"], [100, 2500, 400])
    figure = histogram(groups_N=groups)
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels[:3] == ["majority", "minority", "wrong"]
    assert bar_totals(figure) == SPREAD.size


def test_histogram_refuses():
    with pytest.raises(ValueError, match="nothing to draw"):
        figures.easiness_histogram([], easy_cut=0, hard_cut=1)
    with pytest.raises(ValueError, match="1 of 2 values"):
        figures.easiness_histogram([1.0, np.inf], easy_cut=0, hard_cut=1)
    with pytest.raises(ValueError, match=r"easy_cut 2 > hard_cut 1"):
        figures.easiness_histogram([1.0], easy_cut=2, hard_cut=1)
    with pytest.raises(ValueError, match="name every example"):
        figures.easiness_histogram([1.0, 2.0], easy_cut=0, hard_cut=1, groups_N=["a"])


@pytest.mark.parametrize("moments", [1, 3, 30])
def test_trajectory_lines_are_the_means_of_the_deciles(moments):
    rng = np.random.default_rng(moments)
    trajectory_TN = rng.gamma(2, 1, (moments, 90)).astype(np.float32)
    decile_N = np.concatenate([np.repeat(np.arange(9), 5), rng.integers(0, 9, 45)])  # the tenth is empty
    updates_T = np.arange(1, moments + 1) * 391
    figure = figures.trajectory_by_decile(trajectory_TN, decile_N, updates_T)
    lines = figure.axes[0].lines
    assert len(lines) == 9
    for decile, line in enumerate(lines):
        slow = [np.mean([float(row[n]) for n in range(90) if decile_N[n] == decile]) for row in trajectory_TN]
        np.testing.assert_allclose(line.get_ydata(), slow, rtol=1e-12)
        np.testing.assert_array_equal(line.get_xdata(), updates_T)
        assert moments > 1 or line.get_marker() == "o"  # a single moment shows as points
    lightness = [np.dot([0.2126, 0.7152, 0.0722], to_rgb(line.get_color())) for line in lines]
    assert np.all(np.diff(lightness) > 0)
    assert "lower = easier" in words(figure)
    assert "1 = easiest, 10 = hardest" in words(figure)


def test_trajectory_refuses():
    with pytest.raises(ValueError, match="one row per moment"):
        figures.trajectory_by_decile(np.ones((2, 5)), np.zeros(5, int), [1])
    with pytest.raises(ValueError, match="decile 10 is not one of 0"):
        figures.trajectory_by_decile(np.ones((1, 2)), [1, 10], [1])
    with pytest.raises(ValueError, match="one row per moment"):
        figures.trajectory_by_decile(np.ones((1, 0)), [], [1])
    with pytest.raises(ValueError, match="nothing to draw"):
        figures.trajectory_by_decile(np.ones((0, 3)), [0, 1, 2], [])


def test_class_counts_stand_in_the_order_of_the_difference():
    figure = figures.class_counts([1, 9, 4], [5, 2, 4], ["cat", "ship", "dog"])
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["ship", "dog", "cat"]
    widths = [patch.get_width() for patch in axes.patches]
    assert widths == [-9, -4, -1, 2, 4, 5]
    assert axes.get_ylim()[0] > axes.get_ylim()[1]  # the first row is on top
    assert [text.get_text() for text in axes.texts] == ["9", "2", "4", "4", "1", "5"]
    assert "easy set" in words(figure)
    assert "hard set" in words(figure)


def test_a_thousand_classes_show_both_ends():
    easy = np.zeros(1000)
    hard = np.arange(1000)[::-1]
    figure = figures.class_counts(easy, hard, [f"c{k}" for k in range(1000)])
    shown = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert shown == [f"c{k}" for k in [*range(999, 984, -1), *range(14, -1, -1)]]
    assert "970 more classes between" in words(figure)
    assert figure.get_figheight() < 9


def test_class_counts_refuse():
    with pytest.raises(ValueError, match="nothing to draw"):
        figures.class_counts([], [], [])
    with pytest.raises(ValueError, match="2 points where 1 are wanted"):
        figures.class_counts([1], [1, 2], ["a"])
    with pytest.raises(ValueError, match="2 class names for 1 classes"):
        figures.class_counts([1], [1], ["a", "b"])


# ---------------------------------------------------------------- pictures


def test_pictures_keep_their_aspect_and_their_bytes():
    images = [picture(32, 32), picture(20, 60, 1), picture(300, 150, 2)]
    figure = sheet(images, ["a", "b", "c"], "t")
    for image, drawn in zip(images, figure.axes[0].images, strict=True):
        np.testing.assert_array_equal(drawn.get_array(), image)
        left, right, bottom, top = drawn.get_extent()
        assert (right - left) / (bottom - top) == pytest.approx(image.shape[1] / image.shape[0])
    assert [drawn.get_interpolation() for drawn in figure.axes[0].images] == [
        "nearest",
        "nearest",
        "antialiased",
    ]


def test_pictures_do_not_overlap_and_follow_the_rows():
    figure = sheet([picture()] * 7, [str(i) for i in range(7)])
    corners = [drawn.get_extent() for drawn in figure.axes[0].images]
    tops = [round(top, 6) for *_, top in corners]
    assert tops == sorted(tops)
    assert [tops.count(top) for top in sorted(set(tops))] == [4, 3]
    for (l1, r1, b1, t1), (l2, r2, b2, t2) in combinations(corners, 2):
        assert min(r1, r2) < max(l1, l2) or min(b1, b2) < max(t1, t2)


def test_easiest_and_hardest_are_named_and_hold_their_own():
    easy, hard = [picture(seed=1)] * 3, [picture(seed=2)] * 2
    figure = figures.easiest_and_hardest((easy, ["e"] * 3), (hard, ["h"] * 2), "dog")
    assert "easiest · lowest loss" in words(figure)
    assert "hardest · highest loss" in words(figure)
    images = figure.axes[0].images
    assert [bool(np.array_equal(image.get_array(), easy[0])) for image in images] == [True] * 3 + [False] * 2


def test_a_side_without_pictures_is_left_out():
    figure = figures.harder_for_either({"net": ([], []), "other": ([picture()] * 3, ["b"] * 3)}, "")
    assert "harder for other" in words(figure)
    assert "harder for net" not in words(figure)
    assert len(figure.axes[0].images) == 3
    with pytest.raises(ValueError, match="no image to draw on either side"):
        sheet([], [])


def test_one_picture_on_each_side_stands_side_by_side():
    figure = SAMPLES["sides, one each"]()
    (left, left_end, *_, top), (right, right_end, *_, top2) = (i.get_extent() for i in figure.axes[0].images)
    assert top == top2
    assert left_end < right
    assert right_end < style.WIDTH
    assert left_end - left == pytest.approx(right_end - right)
    assert left_end - left > 2  # inches: the picture fills its half


def test_a_lone_picture_does_not_fill_the_page():
    figure = sheet([picture()], ["a"])
    left, right, *_ = figure.axes[0].images[0].get_extent()
    assert right - left < style.WIDTH / 2


def test_averages_are_drawn_unstretched_with_their_numbers():
    averages = [np.full((4, 4, 3), value) for value in (0.0, 100.4, 255.0)]
    diversities = [(0.1, 0.08, 0.12), (0.2, 0.18, 0.22), (0.3, NAN, NAN)]
    sets = zip(("easy", "random", "hard"), averages, diversities, strict=True)
    figure = figures.average_images({name: (average, *diversity) for name, average, diversity in sets})
    paper, panel = figure.axes
    assert [int(image.get_array().max()) for image in paper.images] == [0, 100, 255]
    assert [line.get_xdata()[0] for line in panel.lines] == [0.1, 0.2, 0.3]
    assert len(panel.collections) == 2  # the unknown interval is not drawn
    assert "higher = more diverse" in words(figure)
    assert "diversity 0.200 0.180 to 0.220" in words(figure)
    assert "no interval" in words(figure)


def test_pictures_refuse():
    with pytest.raises(ValueError, match="0 images"):
        figures.easiest_and_hardest(([], []), ([picture()], ["a"]), "")
    with pytest.raises(ValueError, match="1 images with 2 captions"):
        sheet([picture()], ["a", "b"])
    with pytest.raises(ValueError, match="ask for 16 or fewer"):
        figures.average_images({str(i): (np.ones((2, 2, 3)), 1, 0, 2) for i in range(40)})
    with pytest.raises(ValueError, match="show fewer images"):
        sheet([picture()] * 3000, ["a"] * 3000)
    with pytest.raises(ValueError, match=r"image 1 is float64 of shape \(2, 2, 3\)"):
        sheet([picture(), np.ones((2, 2, 3))], ["a", "b"])
    with pytest.raises(ValueError, match=r"shape \(3, 32, 32\)"):
        figures.easiest_and_hardest(([picture()], ["a"]), ([picture().transpose(2, 0, 1)], ["b"]), "")
    with pytest.raises(ValueError, match="no average to draw"):
        figures.average_images({})
    with pytest.raises(ValueError, match="'easy' spans 0 to 300"):
        figures.average_images({"easy": (np.linspace(0, 300, 12).reshape(2, 2, 3), 1, 0, 2)})


# ---------------------------------------------------------------- matching


def repeats(epochs, overlap=0.5):
    return [
        {"name": f"epoch {epoch}", "measured": 4, "trials": [1, 10, 100], "low": [overlap - 0.2] * 3,
         "overlap": [overlap - 0.1, overlap, overlap + 0.04 * epoch], "high": [overlap + 0.5] * 3} for epoch in epochs
    ]  # fmt: skip


def cuts(pairs):
    return [
        {"name": f"net {i} – another", "rate": [0.2, 0.3, 0.4, 0.25 + i / 20], "ceiling": [0.7, 0.8, 0.9, NAN]}
        for i in range(pairs)
    ]


def sharing(moments, control=True):
    rate = np.linspace(0.5, 0.7, moments)
    lines = {"epochs": np.arange(1, moments + 1), "chance": np.full(moments, 0.1)}
    lines |= {"class_chance": np.full(moments, 0.15), "rate": rate, "low": rate - 0.05, "high": rate + 0.05}
    lines["ceiling"] = rate + 0.1
    if control:
        lines |= {"common": rate + 0.12, "common_low": rate + 0.08, "common_high": rate + 0.16}
    return lines


def test_sharing_lines_equal_the_input_and_the_control_is_named():
    figure = figures.sharing_lines({"easy": sharing(4), "hard": sharing(4, control=False)})
    easy, hard = ({line.get_label(): line.get_ydata() for line in axes.lines} for axes in figure.axes)
    assert len(easy) == 5
    names = {
        "chance of random sets": "chance",
        "chance, given the class mix": "class_chance",
        "two architectures, own seeds": "rate",
        "one architecture, other trials (ceiling)": "ceiling",
        "two architectures, common seeds (control)": "common",
    }
    for name, key in names.items():
        np.testing.assert_array_equal(easy[name], sharing(4)[key])
    assert set(hard) == set(names) - {"two architectures, common seeds (control)"}
    assert all(name in words(figure) for name in names)


def test_matching_lines_equal_the_input():
    curves = [pair(name, 4, ceiling=[0.6, 0.7, NAN, 0.8], class_chance=[0.2] * 4) for name in PAIRS]
    figure = figures.matching_curves({"easy": curves, "hard": curves[:2]}, chance=(0.1, 0.09, 0.11))
    assert len(figure.axes) == 2
    for axes, drawn in zip(figure.axes, (curves, curves[:2]), strict=True):
        lines = {line.get_label(): line for line in axes.lines}
        assert len(axes.lines) == 1 + 3 * len(drawn)
        for curve in drawn:
            rate, ceiling = lines[curve["name"]], lines[f"{curve['name']}: ceiling"]
            np.testing.assert_array_equal(rate.get_ydata(), curve["rate"])
            np.testing.assert_array_equal(rate.get_xdata(), curve["epochs"])
            np.testing.assert_array_equal(ceiling.get_ydata(), curve["ceiling"])
            assert rate.get_color() == ceiling.get_color() == lines[f"{curve['name']}: class_chance"].get_color()
            assert rate.get_linestyle() == "-"
            assert ceiling.get_linestyle() == "--"  # matplotlib's word for any dashes
        (segments, *_) = [c.get_segments() for c in axes.collections if isinstance(c, LineCollection)]
        np.testing.assert_array_equal([s[:, 1] for s in segments], np.stack([drawn[0]["low"], drawn[0]["high"]], 1))
        assert axes.get_ylim()[0] == 0
    easy, hard = figure.axes
    looks = [{line.get_label(): (line.get_color(), line.get_marker()) for line in a.lines} for a in (easy, hard)]
    assert all(looks[0][name] == looks[1][name] for name in PAIRS[:2])
    assert len({looks[0][name] for name in PAIRS}) == 6
    text = words(figure)
    assert "(a) easy sets: matching rate · higher = more shared" in text
    assert "(b) hard sets" in text
    for entry in (
        *PAIRS,
        "95 % interval",
        "ceiling of the pair",
        "chance of random sets",
        "chance, given the class mix",
    ):
        assert entry in text


def test_unknown_intervals_are_drawn_as_none():
    curve = pair("a – b", 3, low=[NAN] * 3, high=[NAN] * 3)
    figure = figures.matching_curves({"easy": [curve]}, chance=(0.1, NAN, NAN))
    whiskers = [c for c in figure.axes[0].collections if isinstance(c, LineCollection)]
    assert all(not c.get_segments() for c in whiskers)
    assert not figure.axes[0].patches  # no chance band
    assert "interval" not in words(figure)


def test_forty_pairs_are_told_apart():
    curves = [pair(f"pair {i}", 3) for i in range(40)]
    figure = figures.matching_curves({"easy": curves}, chance=(0.1, 0.09, 0.11))
    looks = {
        (line.get_color(), line.get_marker())
        for line in figure.axes[0].lines
        if line.get_label() in {c["name"] for c in curves}
    }
    assert len(looks) == 40


def test_matching_refuses():
    chance = (0.1, 0.09, 0.11)
    for nothing in ({}, {"easy": []}):
        with pytest.raises(ValueError, match="no curve to draw"):
            figures.matching_curves(nothing, chance=chance)
    with pytest.raises(ValueError, match=r"upside down: low 0\.5 > high 0\.4"):
        figures.matching_curves({"easy": [pair("a", 1, low=[0.5], high=[0.4])]}, chance=chance)
    with pytest.raises(ValueError, match="ceiling of 'a' has 2 points where 3 are wanted"):
        figures.matching_curves({"easy": [pair("a", 3, ceiling=[1, 1])]}, chance=chance)


@pytest.mark.parametrize("moments", [1, 3, 12, 60])
def test_overlap_cells_equal_the_input(moments):
    matrix = np.random.default_rng(0).random((moments, moments))
    matrix[0, -1] = NAN
    figure = figures.overlap_heatmap(matrix, np.arange(1, moments + 1) * 391)
    (image,) = figure.axes[0].images
    np.testing.assert_array_equal(np.ma.filled(image.get_array(), NAN), matrix)
    assert image.get_clim() == (0, 1)
    assert len(figure.axes[0].texts) == (moments**2 if moments <= 12 else 0)
    assert "higher = more shared" in words(figure)
    if 1 < moments <= 12:
        assert figure.axes[0].texts[0].get_text() == f"{matrix[0, 0]:.2f}"
        assert figure.axes[0].texts[moments - 1].get_text() == "–"


def test_overlap_refuses():
    with pytest.raises(ValueError, match="nothing to draw"):
        figures.overlap_heatmap(np.ones((0, 0)), [])
    with pytest.raises(ValueError, match=r"shape \(2, 3\) for 2 moments"):
        figures.overlap_heatmap(np.ones((2, 3)), [1, 2])
    with pytest.raises(ValueError, match=r"leaves \[0, 1\]"):
        figures.overlap_heatmap([[1.5]], [1])


def test_repeats_show_first_and_last_moment_the_targets_and_the_trials_there_are():
    figure = figures.repeat_curves({"easy": repeats(range(1, 11))}, targets=(0.8, 0.9))
    (axes,) = figure.axes
    curves = [line for line in axes.lines if str(line.get_label()).startswith("epoch ")]
    assert [line.get_label() for line in curves] == [f"epoch {epoch}" for epoch in (1, 2, 4, 6, 8, 10)]
    np.testing.assert_array_equal(curves[-1].get_ydata(), repeats([10])[0]["overlap"])
    levels = [line.get_ydata()[0] for line in axes.lines if len(set(line.get_ydata())) == 1]
    assert levels == [0.8, 0.9]
    assert "4 trials, the measured ones" in words(figure)


def test_repeats_refuse():
    curve = repeats([1])[0]
    with pytest.raises(ValueError, match="overlap epoch 1 has 1 points where 3"):
        figures.repeat_curves({"easy": [curve | {"overlap": [0.5]}]}, targets=())


def test_sensitivity_shows_every_pair_at_every_cut_with_its_ceiling():
    names = ["0.05", "0.1", "0.2", "rank-biased\noverlap"]
    figure = figures.sensitivity_points({"easy": cuts(2), "hard": cuts(2)}, names)
    assert [label.get_text() for label in figure.axes[-1].get_xticklabels()] == names
    for axes in figure.axes:
        for number, pair in enumerate(cuts(2)):
            rate = next(line for line in axes.lines if line.get_label() == pair["name"])
            np.testing.assert_array_equal(rate.get_ydata(), pair["rate"])
            np.testing.assert_array_equal(np.round(rate.get_xdata()), range(4))
            ceiling = axes.lines[1 + 2 * number]
            np.testing.assert_array_equal(ceiling.get_ydata(), pair["ceiling"])
        assert [len(room.get_segments()) for room in axes.collections] == [3, 3]  # no ceiling, no room
    assert "0 = luck" in words(figure)


def test_sensitivity_refuses():
    with pytest.raises(ValueError, match="has 4 points where 1"):
        figures.sensitivity_points({"easy": cuts(1)}, ["0.1"])


# ---------------------------------------------------------------- ablation


def test_accuracy_lines_and_seeds_equal_the_input():
    curves = [spread(arm(name)) for name in ("easy", "hard", "random", "stepwise")]
    figure = figures.accuracy_against_removed(curves, unablated=0.91)
    (axes,) = figure.axes
    lines = {line.get_label(): line for line in axes.lines}
    for curve in curves:
        np.testing.assert_array_equal(lines[curve["name"]].get_xdata(), curve["x"])
        np.testing.assert_array_equal(lines[curve["name"]].get_ydata(), curve["accuracy"])
    clouds = [c for c in axes.collections if isinstance(c, PathCollection)]
    for curve, cloud in zip(curves, clouds, strict=True):
        places = [(x, a) for x, row in zip(curve["x"], curve["seeds_PS"], strict=True) for a in row]
        np.testing.assert_array_equal(cloud.get_offsets(), places)
    assert any(np.all(np.asarray(line.get_ydata()) == 0.91) for line in axes.lines)
    assert len({line.get_color() for line in lines.values()}) == 5
    assert "higher = better" in words(figure)
    assert "ablation ratio (share of the training set removed)" in words(figure)
    for entry in (
        "easy",
        "hard",
        "random",
        "stepwise",
        "nothing removed",
        "single seed",
        "spread over seeds",
        "90 %",
    ):
        assert entry in words(figure)


def test_seeds_may_have_their_own_seconds():
    seconds = np.arange(15.0).reshape(5, 3) + 100
    figure = figures.accuracy_against_removed(
        [arm("easy", (900, 700, 500, 300, 100), seeds_x_PS=seconds)], axis="seconds"
    )
    (cloud,) = figure.axes[0].collections
    np.testing.assert_array_equal(cloud.get_offsets()[:, 0], seconds.ravel())
    assert "seconds of training" in words(figure)


def test_one_seed_and_unknown_accuracies_draw_what_is_known():
    unknown = {"low": [NAN] * 5, "high": [NAN] * 5, "accuracy": [0.9, NAN, 0.8, NAN, 0.7]}
    figure = figures.accuracy_against_removed([arm("easy", seeds=1, **unknown)])
    (axes,) = figure.axes
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), [0.9, NAN, 0.8, NAN, 0.7])
    assert np.isfinite([*axes.get_xlim(), *axes.get_ylim()]).all()
    assert "single seed" in words(figure)
    assert "spread" not in words(figure)


def test_worst_class_says_so():
    curve = arm("hard")
    figure = figures.accuracy_against_removed([curve], what="accuracy of the worst class", unablated=0.5)
    np.testing.assert_array_equal(figure.axes[0].lines[0].get_ydata(), curve["accuracy"])
    assert "accuracy of the worst class · higher = better" in words(figure)


def test_differences_equal_the_input_beside_each_other():
    curves = [difference(name) for name in ("easy", "hard", "stepwise")]
    figure = figures.paired_differences(curves)
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    for curve in curves:
        line = lines[curve["name"]]
        np.testing.assert_array_equal(line.get_ydata(), curve["difference"])
        assert np.abs(line.get_xdata() - curve["ratio"]).max() < 0.25 * 0.2  # a quarter of the way to the next ratio
    assert len({line.get_xdata()[0] for name, line in lines.items() if name in {c["name"] for c in curves}}) == 3
    assert "above 0 = better than random" in words(figure)
    assert "percentage points" in words(figure)
    assert "95 % interval" in words(figure)
    assert "−10" in words(figure)  # −0.1 is ten points


def test_ratios_that_differ_by_rounding_are_one_place():
    axes = figures.paired_differences([difference("easy", (0.1, 0.3)), difference("hard", (0.1, 0.1 + 0.2))]).axes[0]
    easy, hard = (next(line for line in axes.lines if line.get_label() == name) for name in ("easy", "hard"))
    assert hard.get_xdata()[1] - easy.get_xdata()[1] == pytest.approx(0.02)
    assert [label.get_text() for label in axes.get_xticklabels()] == ["10 %", "30 %"]


def test_the_same_strategy_looks_the_same_everywhere():
    accuracy = figures.accuracy_against_removed([arm(n) for n in ("random", "easy", "stepwise")]).axes[0]
    paired = figures.paired_differences([difference(n) for n in ("stepwise", "easy")]).axes[0]
    looks = [{line.get_label(): (line.get_color(), line.get_marker()) for line in a.lines} for a in (accuracy, paired)]
    assert looks[0]["easy"] == looks[1]["easy"]
    assert looks[0]["stepwise"] == looks[1]["stepwise"]


def test_removal_cells_equal_the_input():
    shares = np.random.default_rng(0).random((4, 10))
    figure = figures.removal_heatmap(shares, ["easy 30 %", "hard 30 %", "random 30 %", "stepwise 30 %"])
    axes = figure.axes[0]
    np.testing.assert_array_equal(axes.images[0].get_array(), shares)
    assert [text.get_text() for text in axes.texts] == [f"{100 * share:.0f}" for share in shares.ravel()]
    assert [label.get_text() for label in axes.get_xticklabels()] == [str(d) for d in range(1, 11)]
    assert "1 = easiest, 10 = hardest" in words(figure)
    assert "darker = more removed" in words(figure)


def test_ablation_refuses():
    for draw in (figures.accuracy_against_removed, figures.paired_differences):
        with pytest.raises(ValueError, match="no curve to draw"):
            draw([])
    with pytest.raises(ValueError, match="axis is 'epochs'; choose one of ratio, updates, seconds"):
        figures.accuracy_against_removed([arm("easy")], axis="epochs")
    with pytest.raises(ValueError, match=r"seeds_PS of 'easy' has shape \(3, 5\); give 5 rows"):
        figures.accuracy_against_removed([arm("easy") | {"seeds_PS": np.ones((3, 5))}])
    with pytest.raises(ValueError, match="difference of 'easy' has 4 points"):
        figures.paired_differences([difference("easy") | {"difference": [0.0] * 4}])
    with pytest.raises(ValueError, match="upside down"):
        figures.paired_differences([difference("easy") | {"high": [-1.0] * 5}])
    for shares, names in ((np.ones((0, 10)), []), (np.ones((2, 9)), ["a", "b"]), (np.ones((2, 10)), ["a"])):
        with pytest.raises(ValueError, match="ten deciles"):
            figures.removal_heatmap(shares, names)
    with pytest.raises(ValueError, match=r"share or rate of 0 to 30 leaves \[0, 1\]"):
        figures.removal_heatmap(np.r_[np.zeros(9), 30.0][None], ["per cent"])


def test_speed_bars_show_the_median_and_every_measurement():
    figure = figures.speed_bars({"ours": [1.0, 3.0, 2.0], "theirs": [4.0]}, unit="seconds")
    (axes,) = figure.axes
    assert [bar.get_width() for bar in axes.patches] == [2.0, 4.0]
    assert sorted(axes.lines[0].get_xdata()) == [1.0, 2.0, 3.0]
    assert "ours: 2" in words(figure)
    with pytest.raises(ValueError, match="values is empty"):
        figures.speed_bars({}, unit="seconds")


def test_scaling_is_a_straight_line_for_a_power_law():
    exponents = {"time_exponent": 1.0, "memory_exponent": 0.0}
    figure = figures.scaling_curves([1, 2, 4], [3, 6, 12], [1, 1, 1], x="trials", **exponents)
    assert "seconds, exponent 1.00" in words(figure)
    assert [axes.get_xscale() + axes.get_yscale() for axes in figure.axes] == ["loglog"] * 2
    with pytest.raises(ValueError, match="both must be above 0"):
        figures.scaling_curves([1, 2], [1, 0], [1, 1], x="trials", **exponents)
