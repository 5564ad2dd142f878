"""The classes of scene: what each is made of, and how its ground is laid."""

import numpy as np

from .geometry import box
from .plan import AROUND, BETWEEN, BOTH, NEXT, ON, ON_ROW, ROW, SIZES, Area, Recipe, Site


def _wavy(rng: np.random.Generator, y: float, swing: float, axis: int = 0) -> np.ndarray:
    """A path (24, 2) that winds along an axis (0 is x) at height y."""
    x = np.linspace(-2.4, 2.4, 24)
    path = np.column_stack([x, y + swing * np.sin(x * rng.uniform(1.2, 2.0) + rng.uniform(0, 6))])
    return path if axis == 0 else path[:, ::-1]


def _line(y: float, axis: int = 0, reach: float = 2.4) -> np.ndarray:
    """A straight path (3, 2) along an axis (0 is x) at height y."""
    path = np.array([(-reach, y), (0, y), (reach, y)], float)
    return path if axis == 0 else path[:, ::-1]


def _blob(rng: np.random.Generator, radius_x: float, radius_y: float) -> np.ndarray:
    """Outline (32, 2) of a pond: a dented ellipse."""
    turn = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    swell = 1 + 0.07 * np.sin(2 * turn + rng.uniform(0, 6)) + 0.05 * np.sin(3 * turn + rng.uniform(0, 6))
    return np.column_stack([radius_x * np.cos(turn), radius_y * np.sin(turn)]) * swell[:, None]


def _lay_airport(site: Site) -> None:
    if site.ground != "grey concrete":
        site.patch("grey concrete", box(-0.85, -0.5, 0.85, 0.5))
    site.strip("runway", _line(-site.side * 0.68), 0.24)


def _lay_harbor(site: Site) -> None:
    site.patch("grey concrete", box(0.68, -3, 4, 3))
    site.strip("road", _line(1.0, axis=1), 0.16)
    for pier in [t for t in site.things if t.role == "landmark"]:
        path = np.array([(-pier.length / 2, pier.y), (0, pier.y), (pier.length / 2 + 0.1, pier.y)])
        site.strip(f"{pier.colour} pier", path, pier.width)


def _lay_streets(site: Site) -> None:
    site.strip("road", _line(-site.side * 0.47), 0.15)
    site.strip("road", _line(float(site.rng.choice([-1, 1])) * 0.78, axis=1), 0.15)


def _lay_lane(site: Site) -> None:
    site.strip("road", _wavy(site.rng, -site.side * 0.56, 0.12), 0.15)


def _lay_fields(site: Site) -> None:
    crops = site.ground
    x, y = site.rng.uniform(0.5, 0.8), site.rng.uniform(0.5, 0.75)
    site.patch(f"dark {crops}", box(x, -3, 3, 3), [(x, -3), (x, 3)])
    site.patch(f"pale {crops}", box(-3, y, x, 3), [(-3, y), (3, y)])
    site.patch(f"dark {crops}", box(-3, -3, -x, -y), [(-3, -3), (-3, 3)])
    site.strip("track", _line(-site.side * 0.6), 0.08)


def _lay_track(site: Site) -> None:
    site.strip("track", _wavy(site.rng, -site.side * 0.5, 0.1), 0.12)


def _lay_shore(site: Site) -> None:
    shore = _wavy(site.rng, 0.0, 0.05)
    shore[:, 1] = -site.side * (0.42 + shore[:, 1])
    beyond = np.array([(2.6, -site.side * 3), (-2.6, -site.side * 3)])
    site.areas.append(Area("blue water", np.concatenate([shore, beyond])))
    site.strip("foam", shore, 0.06)


def _lay_lot(site: Site) -> None:
    for y in (-0.75, 0.42):
        site.patch("asphalt lot", box(-1.3, y - 0.32, 1.3, y + 0.62), [(-1.2, y + 0.1), (1.2, y + 0.1)])


def _lay_river(site: Site) -> None:
    path = _wavy(site.rng, 0.0, 0.04)
    site.strip(f"{site.landmark.colour} water", path, SIZES["river"][1])


def _lay_bridge(site: Site) -> None:
    site.strip("blue water", _wavy(site.rng, 0.0, 0.05, axis=1), 1.1)
    site.strip("road", _line(0.0), 0.17)
    site.strip(f"{site.landmark.colour} bridge", _line(0.0, reach=0.72), 0.26)


def _lay_pond(site: Site) -> None:
    _lay_track(site)
    length, width = SIZES["pond"]
    site.areas.append(Area(f"{site.landmark.colour} water", _blob(site.rng, length / 2, width / 2)))


def _lay_ballpark(site: Site) -> None:
    # The outfield is a fan that opens away from the group, the infield a square of clay about a square of grass.
    turn = np.linspace(-np.pi / 4, np.pi / 4, 14) + np.pi * (site.side > 0) + np.pi / 2
    fan = np.array([(0.0, site.side * 0.42)]) + np.concatenate(
        [[(0, 0)], 1.05 * np.column_stack([np.cos(turn), np.sin(turn)])]
    )
    site.areas.append(Area("mown grass", fan))
    square = 0.34 * np.array([(1, 0), (0, 1), (-1, 0), (0, -1)])
    site.areas.append(Area(f"{site.landmark.colour} clay", square))
    site.areas.append(Area("mown grass", square * 0.5))


def _lay_rails(site: Site) -> None:
    # A pair of rails under each train, and an empty one beyond.
    lanes = {round(t.y, 3) for t in site.things if t.noun == "train"}
    outer = max(lanes, key=abs)
    for y in lanes | {outer + np.sign(outer) * 0.19}:
        site.strip("rails", _line(y), 0.1)


# ``Recipe`` in plan.py names the fields. The lists are drawn from by position: their order decides every data set.
GRASSY = ("green grass", "dry grass", "bare soil")
LAND = (NEXT, ROW, AROUND, BOTH, BETWEEN)
RECIPES = {
    "airport": Recipe(
        "airport", "a runway", ("green grass", "dry grass", "grey concrete"), "terminal",
        ("grey", "white", "blue", "brown"), {"plane": LAND}, ("truck", "bus", "car"), _lay_airport,
        (None, "a few"),
    ),
    "harbor": Recipe(
        "harbor", "a quay", ("blue water", "green water"), "pier", ("grey", "brown", "white"),
        {"boat": (NEXT, ROW, BOTH, BETWEEN)}, ("ship", "boat"), _lay_harbor, (None,), 1.3,
    ),
    "denseresidential": Recipe(
        "dense residential area", "crossing roads", GRASSY, "school", ("white", "blue", "red", "grey"),
        {"car": LAND, "bus": (NEXT, ROW, BETWEEN)}, ("car", "truck"), _lay_streets, ("a few", "many"),
    ),
    "sparseresidential": Recipe(
        "sparse residential area", "a winding road", GRASSY, "villa", ("red", "grey", "brown", "white"),
        {"car": LAND, "tent": (NEXT, AROUND)}, ("car", "truck"), _lay_lane,
    ),
    "farmland": Recipe(
        "farmland", "a dirt track", ("green crops", "yellow crops", "brown crops"), "barn",
        ("red", "white", "grey", "blue"), {"tractor": LAND, "truck": (NEXT, ROW)}, ("tractor", "car"),
        _lay_fields,
    ),
    "forest": Recipe(
        "forest", "a winding track", ("green grass", "bare soil"), "cabin",
        ("brown", "red", "grey", "white"), {"tent": LAND, "truck": (NEXT, BOTH)}, ("car", "tent"),
        _lay_track, ("many",),
    ),
    "beach": Recipe(
        "beach", "the blue sea", ("yellow sand", "white sand"), "hotel", ("white", "grey", "red", "blue"),
        {"umbrella": (NEXT, ROW), "car": (NEXT, ROW)}, ("boat", "boat", "umbrella"), _lay_shore,
    ),
    "desert": Recipe(
        "desert", "a dusty track", ("yellow sand", "red sand", "white sand"), "rock",
        ("brown", "black", "grey"), {"tent": LAND, "truck": LAND}, ("truck", "car"), _lay_track,
        (None, None, "a few"),
    ),
    "parking": Recipe(
        "parking lot", "marked bays", ("grey concrete", "green grass", "bare soil"), "shop",
        ("white", "blue", "red", "brown"), {"car": LAND, "bus": (NEXT, ROW, BETWEEN)},
        ("car", "truck", "bus"), _lay_lot,
    ),
    "stadium": Recipe(
        "stadium park", "a winding road", GRASSY, "stadium", ("white", "blue", "red", "grey"),
        {"bus": (NEXT, ROW, BOTH, AROUND), "car": (NEXT, ROW, BOTH, AROUND)}, ("car", "truck"), _lay_lane,
    ),
    "river": Recipe(
        "river valley", "sandy banks", GRASSY, "river", ("blue", "green", "brown"),
        {"boat": (ON, ON_ROW), "tent": (NEXT, BOTH, ROW), "car": (NEXT, ROW, BOTH)},
        ("car", "boat", "tent"), _lay_river,
    ),
    "bridge": Recipe(
        "bridge area", "a wide river", GRASSY, "bridge", ("white", "grey", "red", "brown"),
        {"car": (ON_ROW,), "boat": (NEXT, BOTH, ROW)}, ("boat", "ship", "car"), _lay_bridge, span=0.95,
    ),
    "industrial": Recipe(
        "industrial area", "crossing roads", ("grey concrete", "bare soil", "dry grass"), "warehouse",
        ("grey", "white", "blue", "red"), {"storage tank": LAND, "truck": LAND}, ("truck", "car"),
        _lay_streets, (None, "a few"),
    ),
    "pond": Recipe(
        "park", "a footpath", ("green grass", "dry grass"), "pond", ("blue", "green", "brown"),
        {"boat": (ON,), "tent": (NEXT, AROUND, BOTH), "umbrella": (NEXT, AROUND, ROW)}, ("car", "tent"),
        _lay_pond, span=1.2,
    ),
    "baseballfield": Recipe(
        "baseball field", "mown grass", ("green grass", "dry grass"), "diamond", ("brown", "red", "grey"),
        {"car": (NEXT, ROW, AROUND, BOTH), "bus": (NEXT, ROW, BOTH)}, ("car", "truck"), _lay_ballpark,
    ),
    "railwaystation": Recipe(
        "railway station", "railway tracks", ("grey concrete", "dry grass", "bare soil"), "station",
        ("brown", "red", "grey", "white"), {"train": (NEXT, BOTH)}, ("car", "bus", "truck"), _lay_rails,
    ),
}  # fmt: skip
