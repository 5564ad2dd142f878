"""The views of the explorer. They display and ask; everything is computed by :mod:`petl_core.explore.state`."""

import base64
import math
from collections.abc import Callable, Sequence
from html import escape
from io import BytesIO
from pathlib import Path

import anywidget
import ipywidgets as widgets
import matplotlib as mpl
import numpy as np
import plotly.graph_objects as go
import traitlets
from PIL import Image

from petl_core.data.images import SUFFIXES
from petl_core.errors import ConfigError
from petl_core.explore.state import (
    Answer,
    Answers,
    Opened,
    Question,
    Session,
    choice_labels,
    choice_table,
    key_of,
    open_clip_choice,
    read_upload,
)

SMALL, LARGE = 176, 384  # pixels, of the longer side of an image
MARKS = {"own": " ✓", "same scene": " ≈", "other": ""}
PALETTE = ("#0173b2", "#de8f05", "#029e73", "#cc78bc", "#ca9161", "#56b4e9", "#949494", "#d55e00", "#fbafe4", "#ece133")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross")  # with the palette: 50 scenes
ALL, NOTHING = "all scenes", "no other model"
HINT = "Hover over a point to see its image; drag around points to gather them here; double-click to let them go."


# Images and text as the browser takes them.


def data_uri(picture: Image.Image, side: int = SMALL) -> str:
    """An image whose longer side has ``side`` pixels, as ``data:image/jpeg;base64,...``."""
    width, height = (max(1, round(side * length / max(picture.size))) for length in picture.size)
    buffer = BytesIO()
    picture.convert("RGB").resize((width, height), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def with_focus(picture: Image.Image, weights: np.ndarray) -> Image.Image:
    """An image under the weights of one focus layer, (height, width) in 0..1: yellow passes, dark is suppressed.

    The map covers the central square, which is what CLIP's preprocessing cuts out.
    """
    enlarged = picture.convert("RGB").resize([round(length * LARGE / min(picture.size)) for length in picture.size])
    left, top = (enlarged.width - LARGE) // 2, (enlarged.height - LARGE) // 2
    box = (left, top, left + LARGE, top + LARGE)
    layer = Image.fromarray(mpl.colormaps["viridis"](weights, bytes=True)[..., :3])
    enlarged.paste(Image.blend(enlarged.crop(box), layer.resize((LARGE, LARGE), Image.Resampling.NEAREST), 0.55), box)
    return enlarged


def card(opened: Opened, answer: Answer, change: str = "") -> str:
    """An answer in HTML: its image, rank, mark, change of rank, score (if it has one) and scene."""
    hit = answer.hit
    place = " · x {} y {}".format(*hit.window[:2]) if hit.window and any(hit.window[:2]) else ""
    words = [hit.path.name + place, hit.scene or "", hit.captions[0] if hit.captions else ""]
    score = "" if math.isnan(hit.score) else f"{hit.score:.2f}"
    first = f"{answer.rank or ''}{MARKS[answer.kind]} {change}"
    return (
        f'<button type=button class="petl-card petl-{answer.kind.replace(" ", "-")}" '
        f'title="{escape(chr(10).join(filter(None, words)))}">'
        f'<img src="{data_uri(opened.gallery.picture(hit))}" alt="{escape(words[2] or words[0])}">'
        f"<div><i>{score}</i><b>{first}</b></div><div>{escape(words[1] or words[0])}</div></button>"
    )


def text_line(value: str = "", kind: str = "text") -> widgets.HTML:
    line = widgets.HTML(value)
    line.add_class("petl-text")
    line.add_class(f"petl-{kind}")
    return line


def message_line(session: Session) -> widgets.HTML:
    """What went wrong last, if anything did."""
    line = text_line(kind="message")
    traitlets.dlink((session, "message"), (line, "value"), escape)
    return line


class Cards(anywidget.AnyWidget):
    """HTML, of which a click on a card sets ``clicked`` to its place; it goes back to -1 once handled."""

    _css = Path(__file__).parent / "explore.css"
    _esm = """
    export default {
      render({ model, el }) {
        const draw = () => {
          el.innerHTML = `<div class="petl-cards">${model.get("html")}</div>`;
          el.firstChild.style.gridTemplateColumns = `repeat(${model.get("columns")}, minmax(0, 1fr))`;
        };
        el.addEventListener("click", (event) => {
          const card = event.target.closest(".petl-card");
          if (!card) return;
          model.set("clicked", [...card.parentNode.children].indexOf(card));
          model.save_changes();
        });
        model.on("change:html", draw);
        draw();
      },
    };
    """
    html = traitlets.Unicode().tag(sync=True)
    columns = traitlets.Int(6).tag(sync=True)
    clicked = traitlets.Int(-1).tag(sync=True)


class Pages(widgets.VBox):
    """Answers, a page at a time; a click on one asks ``session`` with its image."""

    def __init__(self, session: Session, per_page: int = 9, columns: int = 3):
        self.session, self.per_page = session, per_page
        self.opened: Opened | None = None
        self.answers: Sequence[Answer] = ()
        self.cards = Cards(columns=columns)
        self.page = widgets.BoundedIntText(1, min=1, description="Page", layout={"width": "150px"})
        self.place = widgets.Label()
        self.cards.observe(self._click, "clicked")
        self.page.observe(lambda _: self._draw(), "value")
        super().__init__([self.cards, widgets.HBox([self.page, self.place])])

    def show(self, opened: Opened, answers: Sequence[Answer], change: Callable[[Answer], str] = lambda _: "") -> None:
        """Show other answers from the first; ``change`` gives each a badge."""
        self.opened, self.answers, self.change = opened, answers, change
        self.page.max, self.page.value = max(1, math.ceil(len(answers) / self.per_page)), 1
        self._draw()

    @property
    def shown(self) -> Sequence[Answer]:
        """The answers on this page."""
        return self.answers[(self.page.value - 1) * self.per_page :][: self.per_page]

    def _draw(self) -> None:
        with self.session.reporting_errors():
            self.cards.html = "".join(card(self.opened, answer, self.change(answer)) for answer in self.shown)
        self.place.value = f"of {self.page.max:,}: {len(self.answers):,} images"

    def _click(self, change: dict) -> None:
        if change["new"] >= 0:
            self.cards.clicked = -1
            self.session.ask(Question(hit=self.shown[change["new"]].hit))


# The views.


class Chooser(widgets.VBox):
    """Choose a model in the table, or name one of open_clip; opens the choice at place ``first`` of the session."""

    def __init__(self, session: Session, first: int = 0):
        import open_clip  # takes seconds

        self.session = session
        self.head, self.rows = widgets.HTML(), widgets.Select(rows=7, layout={"width": "100%"})
        self.filter = widgets.Text(placeholder="filter: a method, a data set, …", layout={"width": "260px"})
        self.name = widgets.Combobox(
            placeholder="or any open_clip model: its name, then its weights; or a folder",
            options=[" ".join(pair) for pair in open_clip.list_pretrained()],
            continuous_update=False,
            layout={"flex": "1 1 auto"},
        )
        self.add = widgets.Button(description="Add to the table", icon="plus", tooltip="load it, zero-shot")
        self.status = text_line()
        line = widgets.HBox([self.filter, self.name, self.add])
        super().__init__([line, self.head, self.rows, session.bars, message_line(session), self.status])
        self.add_class("petl-models")
        self.rows.observe(lambda change: self._open(change["new"]), "value")
        self.filter.observe(lambda _: self._list(self.rows.value), "value")
        self.add.on_click(lambda _: self._add())
        self._list(None)
        self.rows.value = first

    def _list(self, chosen: int | None) -> None:
        """Show the rows that the filter lets through; a chosen one stays chosen."""
        table = choice_table(self.session.choices)
        widths = [max(map(len, [name, *table[name]])) for name in table]
        head, *lines = (
            "\N{NO-BREAK SPACE}\N{NO-BREAK SPACE}".join(
                cell.ljust(width).replace(" ", "\N{NO-BREAK SPACE}") for cell, width in zip(row, widths, strict=True)
            )
            for row in [list(table), *table.itertuples(index=False)]
        )
        words = self.filter.value.lower().split()
        shown = [(line, i) for i, line in enumerate(lines) if all(word in line.lower() for word in words)]
        self._listing = True  # a list widget chooses its first row itself
        self.head.value = f"<pre>{head}</pre>"
        self.rows.options = shown
        self.rows.value = chosen if any(chosen == place for _, place in shown) else None
        self._listing = False

    def _open(self, place: int | None) -> None:
        if self._listing or place is None:
            return
        self.status.value = f"Opening {escape(self.session.choices[place].title)} …"
        self.session.open(self.session.choices[place])
        opened, self.status.value = self.session.opened, ""
        if opened:
            config, gallery = opened.choice.config, opened.gallery
            searched = self.session.places.get("folder") or f"the test split of {Path(config.dataset).stem}"
            texts = f" and {len(opened.texts):,} captions" if opened.texts else ""
            left_out = f"; {len(gallery.unreadable)} files cannot be read" if gallery.unreadable else ""
            self.status.value = (
                f"<b>{escape(opened.choice.title)}</b> searches {len(gallery.embeddings):,} distinct images of "
                f"{escape(searched)}{texts}{left_out}."
            )

    def _add(self) -> None:
        with self.session.reporting_errors():
            dataset = (self.session.opened.choice if self.session.opened else self.session.choices[0]).config.dataset
            choice = open_clip_choice(self.name.value, dataset)
            hashes = [known.config.hash for known in self.session.choices]
            if choice.config.hash not in hashes:
                hashes.append(choice.config.hash)
                self.session.choices = [*self.session.choices, choice]
            self.filter.value = ""
            self._list(self.rows.value)
            self.rows.value = hashes.index(choice.config.hash)


class Search(widgets.VBox):
    """Ask with a sentence, a test caption or an image; the image asked with, its captions, and the images found."""

    def __init__(self, session: Session, query: str = "", per_page: int = 12):
        self.session = session
        self.query = widgets.Text(
            placeholder="a sentence, such as: two white planes next to a terminal",
            continuous_update=False,
            layout={"flex": "1 1 auto"},
        )
        search = widgets.Button(description="Search", button_style="primary", icon="search")
        self.draw = widgets.Button(description="A test caption", icon="random", tooltip="ask with one drawn at random")
        self.upload = widgets.FileUpload(
            accept=",".join(SUFFIXES),
            description="Image: JPEG, PNG, TIFF",
            tooltip="ask with an image; also " + ", ".join(SUFFIXES),
            layout={"width": "max-content"},
        )
        self.scene = widgets.Dropdown(options=[ALL], description="Show", layout={"width": "230px"})
        self.heading, self.image, self.captions = text_line(), widgets.HTML(), text_line()
        self.focus = widgets.Dropdown(description="Focus", layout={"width": "220px"})
        self.asked = widgets.HBox([widgets.VBox([self.image, self.focus]), self.captions])
        self.pages = Pages(session, per_page, columns=6)
        self._rng = np.random.default_rng(0)

        self.query.observe(lambda _: session.ask(Question(text=self.query.value)), "value")
        search.on_click(lambda _: session.ask(Question(text=self.query.value)))
        self.draw.on_click(lambda _: self._draw_caption())
        self.upload.observe(lambda change: self.ask_upload(change["new"]), "value")
        self.scene.observe(lambda _: self._show_images(), "value")
        self.focus.observe(lambda _: self._show_picture(), "value")
        session.observe(lambda _: self._offer_scenes(), "opened")
        session.observe(lambda _: self._show(), "answers")
        line = widgets.HBox([self.query, search, self.draw, self.upload])
        above = widgets.HBox([self.scene, self.heading])
        super().__init__([line, message_line(session), above, self.asked, self.pages])
        self._offer_scenes()
        self._show()
        if query:
            self.query.value = query

    def ask_upload(self, files: Sequence[dict]) -> None:
        with self.session.reporting_errors():
            for file in files[:1]:
                self.upload.value = ()  # so that the same file can be uploaded again
                question = read_upload(file["name"], bytes(file["content"]))
                self.session.ask(question)

    def _draw_caption(self) -> None:
        with self.session.reporting_errors():
            if not self.session.opened or not self.session.opened.texts:
                raise ConfigError("these images have no captions; type a sentence")
            self.query.value = str(self._rng.choice(self.session.opened.texts))

    def _offer_scenes(self) -> None:
        kept, scenes = self.scene.value, self.session.opened.scenes if self.session.opened else []
        self.scene.options = [ALL, *scenes]
        self.scene.value = kept if kept in scenes else ALL

    def _show(self) -> None:
        self._show_images()
        answers: Answers | None = self.session.answers
        self.asked.layout.display = "none"
        self.heading.value = "Type a sentence, or upload an image."
        if answers is None:
            return
        facts = [answers.question.title, *([f"scene: {answers.scene}"] if answers.scene else [])]
        own = [answer.rank for answer in answers.images if answer.kind == "own"]
        if answers.question.text:
            facts += [f"its own image: rank {own[0]:,}"] if own else []
        self.heading.value = f"<b>{escape(' · '.join(facts))}</b>"
        if not answers.question.text:
            with self.session.reporting_errors():
                opened = self.session.opened
                self.maps = opened.focus(answers.question)
                layers = [(f"layer {i} of {len(self.maps)}", i) for i in range(1, 1 + len(self.maps))]
                kept = min(self.focus.value or 0, len(layers))
                self.focus.options = [("off", 0), *layers]
                self.focus.value, self.focus.layout.display = kept, None if layers else "none"
                lines = "".join(
                    f"<li>{score:.2f} {f'<b>{escape(text)} ✓</b>' if own else escape(text)}</li>"
                    for text, score, own in answers.captions
                )
                listed = f"<b>Best captions</b><ol>{lines}</ol>"
                self.captions.value = listed if lines else "These images have no captions."
                self._show_picture()
                self.asked.layout.display = None

    def _show_picture(self) -> None:
        answers = self.session.answers
        if answers and not answers.question.text:
            picture = self.session.opened.picture(answers.question)
            shown = with_focus(picture, self.maps[self.focus.value - 1]) if self.focus.value else picture
            self.image.value = f'<img src="{data_uri(shown, LARGE)}" alt="the image asked with" width="220">'

    def _show_images(self) -> None:
        images = self.session.answers.images if self.session.answers else []
        self.pages.show(self.session.opened, [a for a in images if self.scene.value in (ALL, a.hit.scene)])


class Comparison(widgets.VBox):
    """The open model on the left, another that searches the same images on the right, both asked the same question."""

    def __init__(self, session: Session):
        self.session = session
        self.choice = widgets.Dropdown(options=[(NOTHING, None)], description="Compare", layout={"width": "90%"})
        self.title, self.names = text_line(), [text_line(), text_line()]
        self.left, self.right = Pages(session), Pages(session)
        columns = [
            widgets.VBox([name, pages], layout={"width": "50%", "padding": "0 6px"})
            for name, pages in zip(self.names, (self.left, self.right), strict=True)
        ]
        self.galleries = widgets.HBox(columns, layout={"align_items": "flex-end"})  # names differ in height
        self.choice.observe(lambda _: self._show(), "value")
        session.observe(lambda _: self._offer(), ["opened", "choices"])
        session.observe(lambda _: self._show(), "answers")
        super().__init__([self.choice, message_line(session), self.title, self.galleries])
        self._offer()
        self._show()

    def _offer(self) -> None:
        """Offer the models that search the same images as the open one; keep the current one if it is among them."""
        opened, everywhere, kept = self.session.opened, self.session.places.get("folder"), self.choice.value
        fitting = [
            (label, place)
            for place, (choice, label) in enumerate(
                zip(self.session.choices, choice_labels(self.session.choices), strict=True)
            )
            if opened and choice.config != opened.choice.config
            if everywhere or choice.config.dataset == opened.choice.config.dataset
        ]
        self.choice.options = [(NOTHING, None), *fitting]  # chooses nothing
        self.choice.value = kept if any(kept == place for _, place in fitting) else None

    def _show(self) -> None:
        answers, chosen = self.session.answers, self.choice.value
        self.galleries.layout.display = "none"
        self.title.value = "Choose another model here, and ask something above."
        if answers is None or chosen is None:
            return
        with self.session.reporting_errors():
            opened, other = self.session.opened, self.session.load(self.session.choices[chosen])
            rank_of = {key_of(answer.hit): answer.rank for answer in answers.images}

            def change(answer: Answer) -> str:
                if (before := rank_of.get(key_of(answer.hit))) is None:
                    return "new"
                rise = before - answer.rank
                return f"▲ {rise}" if rise > 0 else f"▼ {-rise}" if rise else "="

            self.title.value = f"{escape(answers.question.title)}: ranks that an image rose (▲) or fell (▼)"
            self.left.show(opened, answers.images)
            self.right.show(other, other.ask(answers.question).images, change)
            for name, shown in zip(self.names, (opened, other), strict=True):
                place = [choice.config for choice in self.session.choices].index(shown.choice.config)
                name.value = f"<b>{escape(choice_labels(self.session.choices)[place])}</b>"
            self.galleries.layout.display = None


class Map(widgets.HBox):
    """All images on a plane: hover shows one, a lasso gathers some beside it, the best answers are ringed."""

    def __init__(self, session: Session):
        self.session = session
        self.plane = widgets.Box(layout={"flex": "0 0 auto"})
        self.hovered = widgets.HTML(HINT, layout={"height": "112px", "overflow": "hidden"})
        self.gathered, self.pages = text_line(), Pages(session)
        session.observe(lambda _: self._draw(), "opened")
        session.observe(lambda _: self._ring(), "answers")
        side = [self.hovered, message_line(session), self.gathered, self.pages]
        super().__init__([self.plane, widgets.VBox(side, layout={"flex": "1 1 0", "min_width": "0"})])
        self._draw()

    def hover(self, rows: Sequence[int]) -> None:
        """Show the first of some points, with its scene and caption."""
        with self.session.reporting_errors():
            for row in rows[:1]:
                hit, opened = self.hits[row], self.session.opened
                words = "<br>".join(map(escape, filter(None, [hit.scene, *(hit.captions or [hit.path.name])[:1]])))
                picture = data_uri(opened.gallery.picture(hit))
                self.hovered.value = (
                    f'<div style="display:flex;gap:12px"><img src="{picture}" alt="" width="108" height="108" '
                    f'style="object-fit:cover;border-radius:6px"><div style="line-height:1.4">{words}</div></div>'
                )

    def gather(self, rows: Sequence[int]) -> None:
        """Show some points as images, best answers to the question first."""
        ranked = self.session.answers.images if self.session.answers else []
        known = {key_of(answer.hit): answer for answer in ranked}
        found = [known.get(key_of(self.hits[row]), Answer(self.hits[row], 0)) for row in rows]
        self.gathered.value = f"<b>{len(rows):,} images inside the lasso</b>"
        self.pages.show(self.session.opened, sorted(found, key=lambda answer: answer.rank or math.inf))

    def _draw(self) -> None:
        if self.session.opened is None:
            return
        with self.session.reporting_errors():
            self.hits, self.points = self.session.opened.map

            # Points with a colour and a symbol for each scene; traces without points make the legend.
            scenes = self.session.opened.scenes
            looks = {
                scene: {"color": PALETTE[i % len(PALETTE)], "symbol": SYMBOLS[i // len(PALETTE) % len(SYMBOLS)]}
                for i, scene in enumerate(scenes)
            }
            own = [looks.get(hit.scene, {"color": "#949494", "symbol": "circle"}) for hit in self.hits]
            marker = {name: [look[name] for look in own] for name in ("color", "symbol")}
            marker |= {"size": 8, "opacity": 0.85}
            names = [hit.scene or hit.path.name for hit in self.hits]
            x, y = self.points.T
            dots = go.Scatter(x=x, y=y, mode="markers", marker=marker, text=names, hoverinfo="text", showlegend=False)
            ringed = {"size": 17, "symbol": "circle-open", "color": "#d62728", "line": {"width": 2}}
            rings = go.Scatter(x=[], y=[], mode="markers", marker=ringed, hoverinfo="skip", name="best answers")
            legend = [
                go.Scatter(x=[None], y=[None], mode="markers", marker={**look, "size": 8}, name=scene)
                for scene, look in looks.items()
            ]
            axis = {"visible": False}
            layout = {
                "width": 680, "height": 560, "margin": dict.fromkeys("lrtb", 0), "dragmode": "lasso",
                "hovermode": "closest", "template": "plotly_white", "xaxis": axis, "yaxis": axis,
                "legend": {"y": 0.95, "itemclick": False, "itemdoubleclick": False, "font": {"size": 11}},
                "modebar": {"remove": ["sendChartToCloud"]},  # nothing leaves this machine
            }  # fmt: skip
            # A new figure with all its traces: what is added to a FigureWidget before the browser shows it is lost.
            rings.x, rings.y = self._best().T
            self.figure = go.FigureWidget([dots, rings, *legend], layout)
            self.dots, self.rings = self.figure.data[:2]
            self.dots.on_hover(lambda trace, points, state: self.hover(points.point_inds))
            self.dots.on_selection(lambda trace, points, state: self.gather(points.point_inds))
            self.dots.on_deselect(lambda trace, points: self._ring())
            self.plane.children = [self.figure]
            self.hovered.value = HINT
            self._show_best()

    def _ring(self) -> None:
        """Ring the best answers, and show them."""
        if self.session.answers and self.session.opened:
            with self.session.reporting_errors(), self.figure.batch_update():
                self.dots.selectedpoints = None
                self.rings.x, self.rings.y = self._best().T
            self._show_best()

    def _show_best(self) -> None:
        if answers := self.session.answers:
            self.gathered.value = f"<b>Ringed: the best for {escape(answers.question.title)}</b>"
            self.pages.show(self.session.opened, answers.images[: self.pages.per_page])

    def _best(self) -> np.ndarray:
        """(B, 2) places of the best answers on the map."""
        row_of = {key_of(hit): row for row, hit in enumerate(self.hits)}
        best = self.session.answers.images[: self.pages.per_page] if self.session.answers else []
        return self.points[[row_of[key_of(a.hit)] for a in best if key_of(a.hit) in row_of]].reshape(-1, 2)
