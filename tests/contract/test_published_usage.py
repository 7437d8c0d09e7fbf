"""What the published client is told of usage."""

from __future__ import annotations

from tests.contract.conftest import Published


def test_usage_counts_what_was_just_run(published: Published) -> None:
    code = """
before = m.usage()
m.run_and_wait('sleep 0.2', poll_interval=0.1)
result = [before, m.usage(), m.usage(window_days=1)]
"""
    before, after, today = published(code)
    # The stack is shared: other tests may run jobs meanwhile.
    assert after["total_jobs"] > before["total_jobs"]
    assert after["vm_seconds"] >= before["vm_seconds"] + 0.2
    assert (after["window_days"], today["window_days"]) == (30, 1)
    assert today["by_day"][-1]["jobs"] >= 1


def test_bad_window_is_an_error_with_a_sentence(published: Published) -> None:
    message, status = published.error("result = m.usage(window_days=0)")
    assert status == 400
    assert "window_days" in message
