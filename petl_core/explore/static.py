"""A gallery that works without a kernel: in an executed notebook, and in its HTML."""

from html import escape

from petl_core.explore.cards import card_of
from petl_core.explore.opened import Answers
from petl_core.search.options import IndexOptions

CARD = """<figure style="margin:0;width:132px;font:12px/1.4 sans-serif">
<img src="{image}" alt="{name}" title="{caption}" style="border:3px solid {frame};{picture}">
<figcaption>{rank}. {score} {mark}<br>{scene}</figcaption></figure>"""
PICTURE = "width:100%;aspect-ratio:1;object-fit:cover;box-sizing:border-box"
FRAMES = {"own": "#029e73", "same scene": "#de8f05", "other": "transparent"}  # as in explore.css


def static_gallery(answers: Answers, options: IndexOptions, k: int = 12) -> str:
    """The k best answers as HTML, images included."""
    cards = [card_of(answer, options) for answer in answers.images[:k]]
    figures = [
        CARD.format(
            **{name: escape(str(value)) for name, value in card._asdict().items()},
            frame=FRAMES[card.kind],
            picture=PICTURE,
        )
        for card in cards
    ]
    heading = f"<p><b>{escape(answers.question.title)}</b></p>"
    return f'{heading}<div style="display:flex;flex-wrap:wrap;gap:12px">{"".join(figures)}</div>'
