"""Five different sentences about a scene, each from the facts of its plan, in the words of one domain."""

import re

import numpy as np

from .classes import RECIPES
from .plan import Group, Scene

NUMBERS = {2: "two", 3: "three", 4: "four", 5: "five"}
PLURALS = {"bus": "buses"}
# Words that only the aerial captions use, so that the text tower too has something to adapt to.
JARGON = {"plane": "airplane", "boat": "vessel", "car": "vehicle", "house": "building"}
# Fields of the sentences that name a thing or a ground.
NAMES = {"ground", "landmark", "group", "odd", "also", "scatter", "trees"}
# Five aspects, one caption each: relation, inventory, ground, the thing that stands apart, surroundings. Sentences are
# drawn by position: their order decides every data set.
SENTENCES = {
    "aerial": (
        (
            "{group} {are} {where}", "{group} {are} {where} in the {place}",
            "in the {place} {group} {are} {where}", "seen from above {group} {lie} {where}",
            "there {are} {group} {where} in this {place}",
        ),
        (
            "{group} and {also} are in the {place}", "the {place} holds {group} and {also}",
            "{group} can be seen with {also} in the {place}", "an aerial view of {group} and {also}",
            "{landmark} , {group} and {also} make up the {place}",
        ),
        (
            "{landmark} {stand} in the {place} with {ground}",
            "the {place} with {landmark} is covered by {ground}",
            "{ground} {surround} {landmark} in this {place}",
            "{landmark} with {trees} can be seen on {ground}",
            "it is {a_place} with {ground} and {landmark}",
        ),
        (
            "{odd} {odd_are} {there}", "{odd} {odd_lie} {there} in the {place}",
            "in this {place} {odd} {odd_are} {there}",
            "{odd} {odd_are} {there} in the {place} with {group}", "we can see {odd} {there} on {ground}",
        ),
        (
            "{scatter} can be seen in the {place} with {landmark}",
            "an overhead view of {a_place} with {group} and {scatter}",
            "{scatter} and {trees} are in the {place}",
            "the {place} has {scatter} , {landmark} and {group}",
            "this is {a_place} on {ground} with {scatter}",
        ),
    ),
    "natural": (
        (
            "a photo of {group} {where}", "{group} {are} {where}", "{group} {are} {where} at the {place}",
            "a picture of {group} {where} on a sunny day", "{group} {where} in front of the hills",
        ),
        (
            "{group} and {also} at the {place}", "a photo of {group} with {also}",
            "we see {group} and also {also}", "{a_place} with {group} and {also}",
            "{landmark} , {group} and {also} under the sky",
        ),
        (
            "{landmark} at the {place} with {ground}", "a photo of {landmark} on {ground}",
            "{ground} in front of {landmark}", "{a_place} with {ground} and {landmark}",
            "{landmark} {stand} near {trees} on {ground}",
        ),
        (
            "{odd} {odd_are} {there}", "a photo of {odd} {there}", "{odd} {odd_are} {there} at the {place}",
            "{odd} {there} and {group} {where}", "at the {place} {odd} {odd_are} {there}",
        ),
        (
            "{a_place} with {scatter} and {group}", "a photo of {landmark} near {scatter}",
            "{scatter} and {landmark} under a bright sky", "{scatter} at the {place} with {group}",
            "a landscape of {a_place} with {scatter} and {trees}",
        ),
    ),
}  # fmt: skip
# Only about what stands apart.
TARGET_SENTENCES = {"aerial": "an aerial view of {odd}", "natural": "a photo of {odd}"}


def describe(scene: Scene, domain: str, rng: np.random.Generator) -> list[str]:
    """Five distinct captions in the words of a domain, "aerial" or "natural"."""
    words = _words(scene)
    captions: list[str] = []
    for templates in SENTENCES[domain]:
        sentences = [template.format(**words) for template in templates if not _names_twice(template, words)]
        fresh = [s for s in sentences if s not in captions]
        captions.append(fresh[int(rng.integers(len(fresh)))])
    return [_with_jargon(caption, rng) for caption in captions] if domain == "aerial" else captions


def describe_target(target: Group, domain: str) -> str:
    """A caption of what stands apart in a scene, in the words of a domain.

    >>> describe_target(Group("car", "yellow", 2, "far from"), "aerial")
    'an aerial view of two yellow cars'
    """
    return TARGET_SENTENCES[domain].format(odd=noun_phrase(target))


def noun_phrase(group: Group) -> str:
    """A group in words.

    >>> noun_phrase(Group("bus", "red", 2)), noun_phrase(Group("tent", "orange", 1))
    ('two red buses', 'an orange tent')
    """
    if group.count == 1:
        return f"{_article(group.colour)} {group.colour} {group.noun}"
    return f"{NUMBERS.get(group.count, 'many')} {group.colour} {PLURALS.get(group.noun, group.noun + 's')}"


def _names_twice(template: str, words: dict[str, str]) -> bool:
    """Whether a sentence would name the same thing or ground twice."""
    named = [words[field] for field in re.findall(r"{(\w+)}", template) if field in NAMES]
    return len(named) > len(set(named))


def _article(word: str) -> str:
    return "an" if word[0] in "aeio" else "a"


def _words(scene: Scene) -> dict[str, str]:
    """The words for each field of the sentences."""
    group, recipe = scene.group, RECIPES[scene.kind]
    landmark = noun_phrase(scene.landmark)
    trees = f"{scene.trees} green trees" if scene.trees else recipe.feature
    surroundings = recipe.feature if scene.trees else scene.ground
    odd = scene.extra or group  # if nothing stands apart, the group is named again
    return {
        "place": recipe.words, "a_place": f"{_article(recipe.words)} {recipe.words}",
        "ground": scene.ground, "landmark": landmark, "group": noun_phrase(group),
        "where": f"{group.relation} {landmark}", "odd": noun_phrase(odd),
        "there": f"{odd.relation} {landmark}", "trees": trees,
        "also": noun_phrase(scene.extra) if scene.extra else recipe.feature,
        "scatter": noun_phrase(scene.clutter) if scene.clutter else surroundings,
        "are": "are" if group.count > 1 else "is", "lie": "lie" if group.count > 1 else "lies",
        "odd_are": "are" if odd.count > 1 else "is", "odd_lie": "lie" if odd.count > 1 else "lies",
        "stand": "stand" if scene.landmark.count > 1 else "stands",
        "surround": "surround" if scene.ground.endswith("crops") else "surrounds",
    }  # fmt: skip


def _with_jargon(caption: str, rng: np.random.Generator) -> str:
    """A caption with some of its nouns replaced by the aerial ones."""
    for word, other in JARGON.items():
        if rng.random() < 0.4:
            caption = re.sub(rf"\b{word}", other, caption)
    return caption
