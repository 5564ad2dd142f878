"""What views share, and how users see errors."""

from petl_core.explore.choices import ModelChoice, open_clip_choice
from petl_core.explore.opened import Question
from petl_core.explore.session import Session, message_line


def test_a_model_is_opened_once_and_asked_the_last_question_again(opened, choice_named, monkeypatch):
    opened.ask(Question(text="a road"))
    first, answers = opened.opened, opened.answers
    opened.open(choice_named("focus"))
    assert opened.opened is not first and opened.answers is not answers
    assert opened.answers.question == answers.question
    monkeypatch.setattr("petl_core.explore.session.open_choice", None)
    opened.open(choice_named("linear_probe"))
    assert opened.opened is first and not opened.message


def test_no_view_sees_a_model_with_the_answers_of_another(opened, choice_named):
    opened.ask(Question(text="a road"))
    old = opened.answers
    seen = []
    opened.observe(lambda _: seen.append(opened.answers is not old), "opened")
    opened.open(choice_named("focus"))
    assert seen == [True]


def test_errors_become_a_sentence_that_a_line_shows(opened, session):
    line = message_line(opened)
    assert line.layout.display == "none"
    before = opened.opened
    opened.ask(Question(text="  "))
    assert line.value == opened.message == "the query is empty; say what to look for" and line.layout.display is None
    opened.open(open_clip_choice("ViT-B-32", "scenes-mini"))
    assert "its weights would be random" in opened.message and opened.opened is before
    opened.open(ModelChoice("x", "no-such-set", before.choice.backbone))
    assert "no-such-set" in opened.message and "\n" not in opened.message
    opened.ask(Question(text="a road"))
    assert line.value == "" and line.layout.display == "none"


def test_nothing_can_be_asked_before_a_model_is_open(session):
    fresh = Session(session.settings)
    fresh.ask(Question(text="a road"))
    assert fresh.message == "no model is open; choose one in the table" and fresh.answers is None


def test_an_unexpected_error_keeps_its_name_and_first_line(session):
    with session.reporting_errors():
        raise RuntimeError("out of memory\nand a long story")
    assert session.message == "RuntimeError: out of memory"
    with session.reporting_errors():
        pass
    assert session.message == ""
