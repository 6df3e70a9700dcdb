"""A wrong value of a form is told at its field, on every page, and what was typed stays."""

from html.parser import HTMLParser

import pytest
from markupsafe import escape

from tests.dashboard.conftest import EVIL, Site

_CONTROLS = ("input", "select", "textarea")


class Fields(HTMLParser):
    """Reads which controls of a page are marked as wrong, and all texts by id."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.wrong: dict[str, dict[str, str]] = {}
        self.texts: dict[str, str] = {}
        self._open: list[tuple[str, str]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag in _CONTROLS and "aria-invalid" in given:
            self.wrong[given["name"]] = given
        if "id" in given:
            self._open.append((tag, given["id"]))
            self.texts[given["id"]] = ""

    def handle_endtag(self, tag: str) -> None:
        if self._open and self._open[-1][0] == tag:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        for _, name in self._open:
            self.texts[name] += data

    def said(self, name: str) -> str:
        """Return what the page says at a field."""
        return self.texts[self.wrong[name]["aria-describedby"]]


def _check(page: str, field: str, said: str, typed: str) -> None:
    found = Fields(page)
    assert list(found.wrong) == [field], list(found.wrong)
    assert said in found.said(field)
    assert page.count('role="alert"') == 1, "it is said once"
    assert EVIL not in page
    assert found.wrong[field].get("value") == typed or str(escape(typed)) in page


@pytest.mark.parametrize(
    ("path", "field", "typed", "said"),
    [
        ("/runs", "cel", f"event. {EVIL}", "not filtered"),
        ("/runs", "event", "shop/*/x", "event may have one *"),
        ("/runs", "from", "yesterday", "from must be a time"),
        ("/runs", "until", "tomorrow", "until must be a time"),
        ("/runs", "q", "x" * 501, "q is longer than 500"),
        ("/events", "cel", "event.", "not filtered"),
        ("/events", "name", "shop/*/x", "name may have one *"),
        ("/events", "q", "x" * 501, "q is longer than 500"),
        ("/errors", "q", "x" * 501, "q is longer than 500"),
        ("/operations/new?kind=replay_events&function=app-fn", "from", "soon", "from must be"),
        ("/operations/new?kind=replay_events&since=1h", "function", "none", "none"),
    ],
)
def test_a_filter_says_what_is_wrong_at_its_field(
    site: Site, path: str, field: str, typed: str, said: str
) -> None:
    answered = site.client.get(path, query_string=None if "?" in path else {field: typed})
    if "?" in path:
        answered = site.client.get(f"{path}&{field}={typed}")
    assert answered.status_code == 400, answered.text
    _check(answered.text, field, said, typed)


@pytest.mark.parametrize(
    ("path", "form", "field", "said"),
    [
        ("/events/send", {"name": "a/b", "data": f"{{{EVIL}"}, "data", "data is not JSON"),
        ("/events/send", {"name": "a/b", "user": "[1"}, "user", "user is not JSON"),
        ("/events/send", {"name": ""}, "name", "name"),
        ("/functions/<f>/invoke", {"data": "{1"}, "data", "the data is not JSON: unexpected"),
        ("/functions/<f>/limits", {"limits": "{1"}, "limits", "not JSON"),
        ("/functions/<f>/limits", {"limits": "{}", "term": "1y"}, "term", "term must be one of"),
        ("/runs/<r>/rerun", {"data": "{1"}, "data", "the data is not JSON"),
        ("/apps/add", {"url": "no url"}, "url", "URL"),
        ("/apps/add", {"url": ""}, "url", "write the URL"),
    ],
)
def test_a_form_says_what_is_wrong_at_its_field(
    site: Site, path: str, form: dict[str, str], field: str, said: str
) -> None:
    run_id = site.engine.start()
    site.engine.drain()
    path = path.replace("<r>", run_id).replace("<f>", site.engine.run(run_id)["function_id"])
    typed = "" if field == "term" else form[field]  # a choice that does not exist is not kept
    _check(site.post(path, 400, **form).text, field, said, typed)


def test_a_step_says_what_is_wrong_with_its_result(site: Site) -> None:
    run_id = site.engine.start()
    site.engine.drain()
    page = site.get(f"/runs/{run_id}")
    step = page.split('name="step" value="')[1] if 'name="step" value="' in page else ""
    if not step:
        spans = [one.split('"')[0] for one in page.split('data-span="')[1:]]
        page = next(
            shown
            for shown in (site.get(f"/runs/{run_id}?span={one}") for one in spans)
            if 'name="step" value="' in shown
        )
        step = page.split('name="step" value="')[1]
    step, span = step.split('"')[0], page.split('name="span" value="')[1].split('"')[0]
    refused = site.post(f"/runs/{run_id}/rerun", 400, step=step, span=span, result="{1").text
    _check(refused, "result", "the result is not JSON", "{1")


def test_an_error_of_a_field_that_is_not_shown_is_said_on_top(site: Site) -> None:
    run_id = site.engine.start()
    site.engine.drain()
    refused = site.post(f"/runs/{run_id}/rerun", 400, step="x", input="[1]").text
    assert Fields(refused).wrong == {}
    assert 'class="problem" role="alert"' in refused
