"""Drawn dataset: ten kinds of pictures whose easy and hard examples are known.

It is the hypothesis of Kishida & Nakayama (2019) as a ground truth. Most pictures of a class look alike, its majority:
the moon in the night sky. Some belong to the class and look different, its minority: the moon by day, in the sky of the
sun. A few have another class's label: they are mislabelled. Easiness should be low (easy) for the first and high (hard)
for the other two.

Every byte follows from (split, seed), on any machine: random words come from a bit generator, whose stream numpy
guarantees, and pixels from sums, products, quotients and square roots, which IEEE 754 rounds alike everywhere. Sines
and exponentials differ between processors, so there are none.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

SIDE = 64
Layers = tuple[tuple[np.ndarray, int], ...]

# Per class. Nine wrong labels give one picture to every other class, so that the given labels stay balanced. One of
# the nine is drawn as a minority, so 85 % of the pictures look like a majority in both splits.
COUNTS = {
    "train": {"majority": 162, "minority": 29, "mislabelled": 9},
    "val": {"majority": 51, "minority": 9, "mislabelled": 0},
}


@dataclass(frozen=True)
class Planted:
    """One split of the drawn dataset, in random order."""

    images: np.ndarray  # (N, 64, 64, 3) uint8 RGB
    labels: np.ndarray  # (N,) int64, as given to the network: wrong in group "mislabelled"
    true_labels: np.ndarray  # (N,) int64, as drawn
    groups: np.ndarray  # (N,) str, "majority", "minority" or "mislabelled"
    class_names: tuple[str, ...]


def draw_planted(split: str, *, seed: int = 0) -> Planted:
    """Draw ``train`` (2,000 pictures) or ``val`` (600, none mislabelled); a seed of 0 or more chooses the pictures.

    Examples
    --------
    >>> val = draw_planted("val")
    >>> val.images.shape, val.class_names[val.labels[0]] in CLASS_NAMES
    ((600, 64, 64, 3), True)
    """
    if split not in COUNTS:
        raise ValueError(f"unknown split {split!r} of the planted dataset; choose one of {sorted(COUNTS)}")
    if seed < 0:
        raise ValueError(f"seed is {seed}, and must be at least 0")
    counts, K = COUNTS[split], len(KINDS)
    per_class = sum(counts.values())
    N = K * per_class

    # Before shuffling, picture i is number i // K of class i % K.
    true_labels, numbers = np.arange(N) % K, np.arange(N) // K
    groups = np.repeat(list(counts), list(counts.values()))[numbers]
    wrong = groups == "mislabelled"
    nth_wrong = numbers - (per_class - counts["mislabelled"])
    labels = np.where(wrong, (true_labels + 1 + nth_wrong) % K, true_labels)
    rare = (groups == "minority") | (wrong & (nth_wrong == 0))
    # The two rare looks of a class take turns.
    looks = np.where(rare, 1 + (true_labels + numbers) % 2, 0)

    stream = np.random.SeedSequence(seed, spawn_key=(list(COUNTS).index(split),))
    words = np.stack([np.random.PCG64(child).random_raw(WORDS) for child in stream.spawn(N)])
    images = np.empty((N, SIDE, SIDE, 3), np.uint8)
    for k, kind in enumerate(KINDS.values()):
        of_class = true_labels == k
        images[of_class] = _paint(kind, looks[of_class], words[of_class])

    order = np.argsort(words[:, -1], kind="stable")
    labels, true_labels = labels[order].astype(np.int64), true_labels[order].astype(np.int64)
    return Planted(images[order], labels, true_labels, groups[order], CLASS_NAMES)


# --- painting -----------------------------------------------------------------------------------------------

UNIFORMS = 20
GRAIN = SIDE * SIDE * 3
# Per picture: the uniforms, one byte of grain for every channel of every pixel, and a key to shuffle by.
WORDS = UNIFORMS + GRAIN // 8 + 1


def _paint(kind: "Kind", looks: np.ndarray, words: np.ndarray) -> np.ndarray:
    """Paint n pictures of one kind: background, object, light, grain; (n, 64, 64, 3) uint8."""
    n = len(looks)
    rare = looks > 0
    # 53 bits make a float64 in [0, 1); -1 .. 1 is handier here.
    u = ((words[:, :UNIFORMS] >> np.uint64(11)) * 2.0**-52 - 1.0)[:, :, None, None]
    spread = np.where(rare, 2.0, 1.0)[:, None, None]

    radius = 20.0 + 3.0 * spread * u[:, 0]
    row, column = np.ogrid[:SIDE, :SIDE]
    across = (column - SIDE / 2 + 0.5 - 4.0 * spread * u[:, 1]) / radius
    down = (row - SIDE / 2 + 0.5 - 4.0 * spread * u[:, 2]) / radius
    # Rotation by a tilt t = tan(angle / 2) needs no sine.
    tilt = 0.1 * spread * u[:, 3]
    cosine, sine = (1 - tilt * tilt) / (1 + tilt * tilt), 2 * tilt / (1 + tilt * tilt)
    layers = kind.shape(cosine * across + sine * down, cosine * down - sine * across)

    # (n, 4, 3): above, below, body, accent; each channel of each colour varies independently.
    colours = _rgb(kind.looks)[looks] + 12.0 * spread * u[:, 8:20, 0, 0].reshape(n, 4, 3)
    above, below, body, accent = (colours[:, None, None, c, :] for c in range(4))
    horizon = SIDE * (kind.horizon + 0.08 * u[:, 4])
    ground = np.clip((row - horizon) / kind.haze + 0.5 + 0 * column, 0, 1)[..., None]
    canvas = above + (below - above) * ground

    silhouette = layers[0][0]
    for distance, _ in layers[1:]:
        silhouette = np.minimum(silhouette, distance)
    canvas *= 1 - 0.3 * np.clip(1 - silhouette / 0.25, 0, 1)[..., None]
    light = 1 - 0.12 * (across + down)[..., None]
    for distance, colour in layers:
        cover = np.clip(0.5 - distance * radius, 0, 1)[..., None]
        canvas += ((accent if colour else body) * light - canvas) * cover

    grain = words[:, UNIFORMS:-1].astype("<u8").view(np.uint8).reshape(n, SIDE, SIDE, 3)
    canvas = canvas * (1 + 0.1 * u[:, 5, ..., None]) + (grain * 0.09375 - 12)
    return np.clip(canvas, 0, 255).astype(np.uint8)


def _rgb(looks: tuple[str, ...]) -> np.ndarray:
    """(looks, colours, 3) float64 of "rgb rgb …"."""
    return np.array([[[17.0 * int(c, 16) for c in colour] for colour in look.split()] for look in looks])


# --- shapes -------------------------------------------------------------------------------------------------
# A shape takes coordinates relative to the object (x right, y down, the object about -1 .. 1) and returns layers to
# paint in order: a signed distance, negative inside, and a colour, 0 for the body or 1 for the accent.


def _disc(x: np.ndarray, y: np.ndarray, cx: float, cy: float, r: float) -> np.ndarray:
    return np.sqrt((x - cx) * (x - cx) + (y - cy) * (y - cy)) - r


def _polygon(x: np.ndarray, y: np.ndarray, *corners: tuple[float, float]) -> np.ndarray:
    """Distance to a convex polygon with corners clockwise on the screen."""
    distance = np.full_like(x, -np.inf)
    for (x0, y0), (x1, y1) in zip(corners, corners[1:] + corners[:1], strict=True):
        dx, dy = x1 - x0, y1 - y0
        length = np.sqrt(dx * dx + dy * dy)
        distance = np.maximum(distance, ((x - x0) * (dy / length) - (y - y0) * (dx / length)))
    return distance


def _box(x: np.ndarray, y: np.ndarray, cx: float, cy: float, w: float, h: float) -> np.ndarray:
    return np.maximum(np.abs(x - cx) - w, np.abs(y - cy) - h)


def _sun(x: np.ndarray, y: np.ndarray) -> Layers:
    # Folded into one eighth, eight rays are two.
    far, near = np.maximum(np.abs(x), np.abs(y)), np.minimum(np.abs(x), np.abs(y))
    half = np.sqrt(0.5)
    straight = _box(far, near, 0.86, 0, 0.18, 0.07)
    slanted = _box((far + near) * half, (far - near) * half, 0.86, 0, 0.18, 0.07)
    return (np.minimum(straight, slanted), 1), (_disc(x, y, 0, 0, 0.58), 0)


def _moon(x: np.ndarray, y: np.ndarray) -> Layers:
    return ((np.maximum(_disc(x, y, 0, 0, 0.95), -_disc(x, y, 0.45, -0.15, 0.75)), 0),)


def _star(x: np.ndarray, y: np.ndarray) -> Layers:
    # A pentagram is the intersection of at least four of the five sides' half-planes.
    half = ((0.0, 1.0), (0.9510565, 0.309017), (0.5877853, -0.809017))
    normals = half + tuple((-nx, ny) for nx, ny in half[1:])
    sides = np.sort([x * nx + y * ny for nx, ny in normals], axis=0)
    return (sides[3] - 0.34, 0), (sides[3] - 0.2, 1)


def _heart(x: np.ndarray, y: np.ndarray) -> Layers:
    side = np.abs(x)
    lobe = _disc(side, y, 0.45, -0.3, 0.5)
    tip = _polygon(side, y, (-1, -0.3), (0.45, -0.55), (0.84, 0.02), (0, 1))
    return (np.minimum(lobe, tip), 0), (_disc(x, y, -0.5, -0.4, 0.16), 1)


def _tree(x: np.ndarray, y: np.ndarray) -> Layers:
    crown = np.minimum(_disc(np.abs(x), y, 0.38, -0.12, 0.45), _disc(x, y, 0, -0.52, 0.48))
    return (_box(x, y, 0, 0.6, 0.13, 0.42), 1), (crown, 0)


def _flower(x: np.ndarray, y: np.ndarray) -> Layers:
    side, high = np.abs(x), np.abs(y)
    petals = np.minimum(_disc(side, high, 0.6, 0, 0.33), _disc(side, high, 0.3, 0.52, 0.33))
    return (petals, 0), (_disc(x, y, 0, 0, 0.34), 1)


def _mushroom(x: np.ndarray, y: np.ndarray) -> Layers:
    cap = np.maximum(_disc(x, y, 0, 0.05, 0.95), y - 0.1)
    spots = np.minimum(_disc(np.abs(x), y, 0.5, -0.2, 0.14), _disc(x, y, 0, -0.5, 0.18))
    stem = _polygon(x, y, (-0.2, 0), (0.2, 0), (0.32, 0.95), (-0.32, 0.95))
    return (stem, 1), (cap, 0), (spots, 1)


def _house(x: np.ndarray, y: np.ndarray) -> Layers:
    roof = _polygon(x, y, (0, -0.95), (0.98, -0.1), (-0.98, -0.1))
    door = _box(x, y, 0.28, 0.6, 0.16, 0.3)
    window = _box(x, y, -0.3, 0.35, 0.18, 0.16)
    return (_box(x, y, 0, 0.4, 0.72, 0.5), 0), (roof, 1), (np.minimum(door, window), 1)


def _boat(x: np.ndarray, y: np.ndarray) -> Layers:
    hull = _polygon(x, y, (-0.95, 0.4), (0.95, 0.4), (0.6, 0.85), (-0.65, 0.85))
    mast = _box(x, y, 0, -0.2, 0.05, 0.7)
    sail = _polygon(x, y, (0.1, -0.9), (0.8, 0.25), (0.1, 0.25))
    jib = _polygon(x, y, (-0.1, -0.7), (-0.1, 0.25), (-0.65, 0.25))
    return (np.minimum(hull, mast), 0), (np.minimum(sail, jib), 1)


def _fish(x: np.ndarray, y: np.ndarray) -> Layers:
    # A lens: the intersection of two large discs.
    trunk = np.maximum(_disc(x, y, 0.15, -0.4, 0.98), _disc(x, y, 0.15, 0.4, 0.98))
    tail = _polygon(x, y, (-0.4, 0), (-1.05, 0.5), (-1.05, -0.5))
    stripe = np.maximum(trunk, _box(x, y, 0.05, 0, 0.12, 1))
    return (np.minimum(trunk, tail), 0), (np.minimum(stripe, _disc(x, y, 0.6, -0.1, 0.1)), 1)


@dataclass(frozen=True)
class Kind:
    """Drawing of one class."""

    shape: Callable[[np.ndarray, np.ndarray], Layers]
    horizon: float  # as a share of the picture's height
    haze: float  # width of the horizon in pixels
    # The majority's first, each four colours (above and below the horizon, body, accent) of hexadecimal rgb digits.
    looks: tuple[str, str, str]


KINDS = {
    "sun": Kind(_sun, 0.6, 70, ("28e 8cf fd2 fb1", "636 e96 d43 e74", "aaa ccc eec ddb")),
    "moon": Kind(_moon, 0.6, 70, ("115 239 eec eec", "28e 8cf eef eef", "210 732 e73 e73")),
    "star": Kind(_star, 0.6, 70, ("519 93c fc4 fd8", "dee acd d34 e77", "144 265 eee cdd")),
    "heart": Kind(_heart, 0.6, 70, ("fbc f7a c13 f89", "333 555 e47 fac", "ed7 ea4 35b 8ae")),
    "tree": Kind(_tree, 0.78, 3, ("cef 6a3 283 743", "edb a85 d72 532", "bcd eef eef 544")),
    "flower": Kind(_flower, 0.5, 90, ("4a2 271 f6a fd4", "432 321 eee eb2", "ed8 da6 65c eeb")),
    "mushroom": Kind(_mushroom, 0.8, 4, ("941 620 c22 fed", "9a9 574 853 dca", "c9b 757 649 ede")),
    "house": Kind(_house, 0.8, 3, ("ed5 b93 ffe b32", "124 333 678 fd6", "bde eff 853 432")),
    "boat": Kind(_boat, 0.62, 3, ("cdf 25a 742 fff", "ea6 a44 322 523", "9aa 566 edd c33")),
    "fish": Kind(_fish, 0.6, 80, ("1c9 065 f82 fed", "dca ba7 568 cdd", "136 013 ec4 333")),
}
CLASS_NAMES = tuple(KINDS)
