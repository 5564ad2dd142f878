"""Draws the default data: small captioned aerial scenes, and their twins in the natural domain.

Both domains draw the same kind of plan and state the same facts about it; they share nouns, colours, counts and
relations, and differ in viewpoint, shapes, palette, texture and some words. ``python -m drawn_scenes --help`` draws a
set. From facts to files:

    plan, geometry             areas, things, and the facts that captions may state; outlines
    classes, arrange           what each class of scene is made of, and where things are
    random_scenes, captions    a random plan; five sentences about it
    brush                      a canvas with textured ground, markings and shadows
    aerial, top_views          the plan from above
    natural, side_views        the plan from the side, under a sky
    dataset                    ``write``: a data set in the layout of the PE-RSITR release
"""

from .dataset import VERSION, write

__all__ = ["VERSION", "write"]
