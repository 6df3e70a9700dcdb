"""Streams send news of changes, end when asked to, and cost no queries without viewers."""

import threading

from tests.dashboard.conftest import Site
from tests.processes import wait_until


def test_viewers_get_news_and_leave(site: Site) -> None:
    heard: list[str] = []
    streams = [site.pulse.stream() for _ in range(3)]

    def listen(stream: object) -> None:
        for message in stream:  # type: ignore[attr-defined]
            heard.append(message)

    threads = [threading.Thread(target=listen, args=(stream,)) for stream in streams]
    for thread in threads:
        thread.start()
    wait_until(lambda: site.pulse.viewers == 3)
    before = len(heard)
    site.engine.start()
    wait_until(lambda: sum("news" in one for one in heard[before:]) >= 3)
    site.pulse.close()
    for thread in threads:
        thread.join(10)
    assert site.pulse.viewers == 0


def test_the_stream_is_an_event_stream(site: Site) -> None:
    answered = site.client.get("/ui/live")
    assert answered.mimetype == "text/event-stream"
    assert next(iter(answered.response)).startswith(b"retry")
    answered.close()
    assert site.pulse.viewers == 0


def test_news_between_a_page_and_its_stream_come_at_once(site: Site) -> None:
    seen = site.get("/runs").split("/ui/live?seen=")[1].split('"')[0]
    site.pulse.send_news()
    answered = site.client.get(f"/ui/live?seen={seen}")
    told = iter(answered.response)
    assert next(told).startswith(b"retry")
    assert next(told).startswith(b"event: news")
    answered.close()
