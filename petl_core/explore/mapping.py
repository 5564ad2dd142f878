"""The view of all embeddings on a plane: hover shows an image, a lasso selects some, a question rings its answers."""

from html import escape

import ipywidgets as widgets
import plotly.graph_objects as go

from petl_core.explore.cards import CardGallery, card_of
from petl_core.explore.opened import Answer, EmbeddingMap, Question, hit_key
from petl_core.explore.session import Session, message_line

PER_PAGE, COLUMNS = 9, 3
NEIGHBOURS = 9  # ringed
SIDE = 560  # pixels
PALETTE = ("#0173b2", "#de8f05", "#029e73", "#cc78bc", "#ca9161", "#56b4e9", "#949494", "#d55e00", "#fbafe4", "#ece133")
NO_SCENE = "#949494"
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross")  # each scene has a colour and a symbol
HINT = "Hover over a point to see its image; drag around points to show them here; double-click to clear."


class EmbeddingMapView(widgets.HBox):
    """UMAP of the images of the open model, next to a gallery of the selected ones.

    Args:
        session: whose model is shown and whose answers are ringed.
    """

    def __init__(self, session: Session):
        self.session = session
        self.plane = widgets.Box(layout={"flex": "0 0 auto"})
        self.hovered = widgets.HTML(HINT, layout={"height": "112px", "overflow": "hidden"})
        self.gathered = widgets.HTML()
        self.gathered.add_class("petl-heading")
        self.gallery = CardGallery(PER_PAGE, COLUMNS, lambda hit: session.ask(Question(hit=hit)))
        session.observe(lambda _: self._draw(), "opened")
        session.observe(lambda _: self._light(), "answers")
        side = [self.hovered, message_line(session), self.gathered, self.gallery]
        super().__init__([self.plane, widgets.VBox(side, layout={"flex": "1 1 0", "min_width": "0"})])
        self._draw()

    def hover(self, rows: list[int]) -> None:
        """Show the first of some points, with its caption."""
        with self.session.reporting_errors():
            for row in rows[:1]:
                card = card_of(Answer(self.map.hits[row], 0, "other"), self.session.opened.gallery.options)
                words = "<br>".join(escape(text) for text in (card.scene, card.caption or card.name) if text)
                self.hovered.value = (
                    f'<div style="display:flex;gap:12px"><img src="{card.image}" alt="" width="108" height="108" '
                    f'style="object-fit:cover;border-radius:6px"><div style="line-height:1.4">{words}</div></div>'
                )

    def gather(self, rows: list[int]) -> None:
        """Fill the gallery with some points, best answers to the question first."""
        with self.session.reporting_errors():
            answers = self.session.answers
            known = {hit_key(answer.hit): answer for answer in answers.images} if answers else {}
            hits = [self.map.hits[row] for row in rows]
            found = [known.get(hit_key(hit), Answer(hit, 0, "other")) for hit in hits]
            found.sort(key=lambda answer: answer.rank or len(known) + 1)
            self.gathered.value = f"{len(rows):,} images inside the lasso"
            self.gallery.show(found, self.session.opened.gallery.options)

    def _draw(self) -> None:
        """Draw the map of the open model."""
        if self.session.opened is None:
            return
        with self.session.reporting_errors():
            self.map: EmbeddingMap = self.session.opened.map
            # A new figure with all its traces: what is added to a FigureWidget before the browser shows it is lost.
            self.figure = go.FigureWidget([self._points(), self._rings(self._lit())], _layout())
            self.points, self.lit = self.figure.data
            self.points.on_hover(lambda trace, points, state: self.hover(points.point_inds))
            self.points.on_selection(lambda trace, points, state: self.gather(points.point_inds))
            self.points.on_deselect(lambda trace, points: self._light())
            self.plane.children = [self.figure]
            self.hovered.value = HINT
            self._show_best()

    def _light(self) -> None:
        """Ring the best answers, and show them."""
        if self.session.answers is None or self.session.opened is None:
            return
        with self.session.reporting_errors():
            with self.figure.batch_update():
                self.points.selectedpoints = None
                self.lit.x, self.lit.y = self.map.points[self._lit()].T
            self._show_best()

    def _show_best(self) -> None:
        if self.session.answers:
            self.gathered.value = f"Ringed: the best for {escape(self.session.answers.question.title)}"
            self.gallery.show(self.session.answers.images[:NEIGHBOURS], self.session.opened.gallery.options)

    def _lit(self) -> list[int]:
        """The points of the best answers."""
        row_of = {hit_key(hit): row for row, hit in enumerate(self.map.hits)}
        best = self.session.answers.images[:NEIGHBOURS] if self.session.answers else []
        return [row_of[hit_key(answer.hit)] for answer in best if hit_key(answer.hit) in row_of]

    def _points(self) -> go.Scatter:
        scenes = {scene: i for i, scene in enumerate(self.session.opened.scenes)}
        place = [scenes.get(hit.scene, -1) for hit in self.map.hits]
        x, y = self.map.points.T
        look = {
            "color": [PALETTE[i % len(PALETTE)] if i >= 0 else NO_SCENE for i in place],
            "symbol": [SYMBOLS[i // len(PALETTE) % len(SYMBOLS)] if i >= 0 else "circle" for i in place],
            "size": 8,
            "opacity": 0.85,
        }
        names = [hit.scene or hit.path.name for hit in self.map.hits]
        return go.Scatter(x=x, y=y, mode="markers", marker=look, text=names, hoverinfo="text")

    def _rings(self, rows: list[int]) -> go.Scatter:
        look = {"size": 17, "symbol": "circle-open", "color": "#d62728", "line": {"width": 2}}
        x, y = self.map.points[rows].T
        return go.Scatter(x=x, y=y, mode="markers", marker=look, hoverinfo="skip")


def _layout() -> dict:
    axis = {"visible": False}
    return {
        "width": SIDE, "height": SIDE, "margin": dict.fromkeys("lrtb", 0), "showlegend": False, "dragmode": "lasso",
        "hovermode": "closest", "template": "plotly_white", "xaxis": axis, "yaxis": axis,
        "modebar": {"remove": ["sendChartToCloud"]},  # nothing leaves this machine
    }  # fmt: skip
