"""A canvas on which polygons of a plan, textured ground and its markings are painted in any projection."""

from collections.abc import Callable, Sequence
from functools import cache, lru_cache

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageOps

from .plan import Area

Colour = tuple[int, ...]  # red, green, blue, and perhaps alpha, of 255
Part = tuple[np.ndarray, float | Colour]  # outline, and the tone of its thing's colour or its own colour
Box = tuple[float, ...]  # x0, y0, x1, y1
Materials = dict[str, tuple[Colour, Colour]]  # dark and light colour of each material
TONES = {"dark": 0.8, "pale": 1.18}  # of a material named "dark ..." or "pale ..."


@lru_cache(4096)
def shade(colour: Colour, tone: float) -> Colour:
    """A colour darkened (tone below 1) or mixed with white (above 1, 2 being white).

    >>> shade((200, 100, 0), 0.5), shade((200, 100, 0), 2)
    ((100, 50, 0), (255, 255, 255))
    """
    light = min(max(tone - 1, 0.0), 1.0)
    dark = min(tone, 1.0)
    return tuple(round(c * dark * (1 - light) + 255 * light) for c in colour)


class Brush:
    """Paints polygons of the plan onto ``image``, and collects shadows to darken it with.

    Args:
        pixels: width and height of the canvas.
        project: maps plan points (N, 2) to canvas pixels (N, 2).
        materials: what the areas of the plan may be made of.
        rng: draws the texture of the ground.
    """

    def __init__(
        self,
        pixels: int,
        project: Callable[[np.ndarray], np.ndarray],
        materials: Materials,
        rng: np.random.Generator,
    ):
        self.pixels, self.project, self.materials = pixels, project, materials
        self.image = Image.new("RGB", (pixels, pixels))
        self.draw = ImageDraw.Draw(self.image, "RGBA")  # paints half-transparent colours over what is there
        self._noise = _fractal_noise(rng, pixels)
        self._shadows = Image.new("L", (pixels, pixels))
        self._shadow_draw = ImageDraw.Draw(self._shadows)

    def polygon(self, corners: np.ndarray, fill: Colour) -> None:
        """Fill canvas points (K, 2)."""
        self.draw.polygon(_flat(corners), fill=fill)

    def parts(self, outlines: Sequence[np.ndarray], tones: Sequence[float | Colour], colour: Colour) -> Box:
        """Fill the parts of one thing.

        Args:
            outlines: canvas points (K, 2) of each part.
            tones: of each part, the tone of the thing's colour, or its own colour.
            colour: of the thing.

        Returns:
            Its box on the canvas.
        """
        for outline, tone in zip(outlines, tones, strict=True):
            self.polygon(outline, shade(colour, tone) if isinstance(tone, float) else tone)
        corners = np.concatenate(outlines).clip(0, self.pixels)
        return (*corners.min(axis=0), *corners.max(axis=0))

    def disc(self, x: float, y: float, radius: float, fill: Colour) -> None:
        """Fill a disc, all in canvas pixels."""
        self.draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill)

    def ground(self, area: Area) -> None:
        """Texture an area and add its markings."""
        self.image.paste(self._texture(area.material), (0, 0), self._mask(area))
        if area.path is not None:
            self._mark(area, area.path)

    def cast(self, outline: np.ndarray) -> None:
        """Add canvas points (K, 2) to the shadows."""
        self._shadow_draw.polygon(_flat(outline), fill=255)

    def drop_shadows(self, strength: float) -> None:
        """Darken what the shadows cast so far cover."""
        mask = self._shadows.point([int(i * strength) for i in range(256)])
        self.image.paste((12, 16, 26), (0, 0, *self.image.size), mask)

    def _texture(self, material: str) -> Image.Image:
        """The whole canvas in one material: its noise as a palette image."""
        word, _, rest = material.partition(" ")
        dark, light = self.materials[rest if word in TONES else material]
        texture = self._noise.copy()
        texture.putpalette(_palette(dark, light, TONES.get(word, 1.0)))
        return texture

    def _mask(self, area: Area) -> Image.Image:
        mask = Image.new("L", self.image.size)
        ImageDraw.Draw(mask).polygon(_flat(self.project(area.outline)), fill=255)
        return mask

    def _mark(self, area: Area, path: np.ndarray) -> None:
        """Lanes, rails, planks, bays and crop rows: what the last word of the material calls for."""
        word = area.material.split()[-1]
        if word in ("road", "runway", "track"):
            self._edges(area.outline, path, 0.94, (235, 235, 225, 70 if word == "track" else 110))
        if word in ("road", "runway"):
            length, width = (0.16, 0.04) if word == "runway" else (0.11, 0.022)
            self._dashes(path, (length, width), 2 * length, (240, 240, 230, 235))
        elif word == "rails":
            self._dashes(path, (0.022, area.width), 0.06, (96, 78, 64, 255))
            self._edges(area.outline, path, 0.55, (196, 196, 200, 255))
        elif word in ("pier", "bridge"):
            self._dashes(path, (0.012, area.width * 0.96), 0.07, (30, 24, 20, 90))
            self._edges(area.outline, path, 0.95, (250, 250, 250, 160) if word == "bridge" else (40, 30, 22, 160))
            if word == "bridge":
                self._dashes(path, (0.1, 0.022), 0.2, (250, 250, 240, 235))
        elif word == "water":
            self._edges(area.outline, path, 1.0, (226, 216, 186, 150))
        elif word == "lot":
            self._dashes(path, (0.014, 0.3), 0.125, (225, 225, 220, 200))
        elif word == "crops":
            self._crop_rows(area, path)

    def _dashes(self, path: np.ndarray, size: tuple[float, float], every: float, fill: Colour) -> None:
        """Bars across a path (P, 2) at equal distances; their size is (along the path, across it)."""
        length, width = size
        # Where each bar starts and ends, as points (bars, 2) of the path.
        run = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(path, axis=0).T))])
        at = np.arange(0, run[-1] - length, every)
        start, end = (np.column_stack([np.interp(a, run, path[:, k]) for k in (0, 1)]) for a in (at, at + length))
        # Their corners on the canvas, one bar per row.
        along = end - start
        normal = np.stack([-along[:, 1], along[:, 0]], axis=1) / np.hypot(*along.T)[:, None] * width / 2
        bars = np.stack([start + normal, end + normal, end - normal, start - normal], axis=1)  # (bars, 4, 2)
        corners = self.project(bars.reshape(-1, 2)).reshape(-1, 8)
        seen = ((corners > 0) & (corners < self.pixels)).any(axis=1)
        for bar in corners[seen].tolist():
            self.draw.polygon(bar, fill=fill)

    def _edges(self, outline: np.ndarray, path: np.ndarray, where: float, fill: Colour) -> None:
        """A line along each side of a band; where is 0 at its path and 1 at its edge."""
        half = len(outline) // 2
        for border in (outline[:half], outline[half:][::-1]):
            line = path + (border - path) * where
            self.draw.line(_flat(self.project(line)), fill=fill, width=max(self.pixels // 128, 1))

    def _crop_rows(self, area: Area, path: np.ndarray) -> None:
        """Rows parallel to a path, clipped to the area."""
        rows = Image.new("L", self.image.size)
        pen = ImageDraw.Draw(rows)
        along = (path[-1] - path[0]) / np.hypot(*(path[-1] - path[0]))
        normal = np.array([-along[1], along[0]])
        middle = area.outline.mean(axis=0)
        for at in np.arange(-2.6, 2.6, area.width):
            ends = np.array([middle + normal * at - along * 4, middle + normal * at + along * 4])
            pen.line(_flat(self.project(ends)), fill=80, width=max(self.pixels // 72, 1))
        self.image.paste((24, 30, 8), (0, 0, *self.image.size), ImageChops.multiply(self._mask(area), rows))


def _flat(points: np.ndarray) -> list[float]:
    return points.ravel().tolist()


@cache
def _palette(dark: Colour, light: Colour, tone: float) -> bytes:
    """256 colours from dark to light, as Pillow's palettes are stored."""
    return np.linspace(shade(dark, tone), shade(light, tone), 256).astype(np.uint8).tobytes()


def _fractal_noise(rng: np.random.Generator, pixels: int) -> Image.Image:
    """Grey noise of three scales, the finest a grain of a few canvas pixels."""
    octaves = [
        Image.fromarray(rng.integers(0, 256, (k, k), dtype=np.uint8)).resize((pixels, pixels), Image.Resampling.BICUBIC)
        for k in (7, 30, max(pixels // 4, 40))
    ]
    coarse = Image.blend(octaves[0], octaves[1], 0.45)
    return ImageOps.autocontrast(Image.blend(coarse, octaves[2], 0.45))
