"""The terminal in a real browser; the shell is made up. tests/e2e has one with a real one."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.accounts.factories import user
from tests.dashboard.fakeshell import FakeShell
from tests.jobs import factories

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

Open = Callable[..., Page]
SCREEN = "[data-terminal] .xterm-rows"
STATE = "[data-terminal-state]"


@pytest.fixture
def shell(open_page: Open) -> FakeShell:
    """In the terminal of a persistent job's page."""
    owner = user()
    job = factories.job(owner, name="box", is_persistent=True)
    made: list[FakeShell] = []
    page = open_page(owner, f"/jobs/{job.pk}/#terminal", lambda page: made.append(FakeShell(page)))
    expect(page.locator(STATE)).to_have_text("Connected")
    return made[0]


@pytest.fixture
def page(shell: FakeShell) -> Page:
    return shell.page


def wait_until(page: Page, is_so: Callable[[], bool]) -> None:
    while not is_so():  # the test's own time limit ends it
        page.wait_for_timeout(20)


def test_typing_and_sizes_reach_the_shell_and_its_output_the_screen(page: Page, shell: FakeShell) -> None:
    shell.prints(b"$ ")
    page.keyboard.type("ls")
    page.keyboard.press("Enter")
    wait_until(page, lambda: shell.typed == b"ls\r")
    # Of 24 bits too: those colours are what a strict policy on styles would refuse. The page fixture
    # fails on any violation.
    shell.prints(b"\x1b[38;2;10;200;30mgreen\x1b[0m \x1b[31mred\x1b[0m\r\n")
    expect(page.locator(SCREEN)).to_contain_text("green red")
    colour = page.locator(f"{SCREEN} span", has_text="green").evaluate("e => getComputedStyle(e).color")
    assert colour == "rgb(10, 200, 30)"
    red = page.locator(f"{SCREEN} span", has_text="red").evaluate("e => getComputedStyle(e).color")
    assert red == "rgb(255, 123, 114)"
    assert page.locator("style").count() == 0

    wide = shell.opened[0]["terminal"]
    page.set_viewport_size({"width": 500, "height": 700})
    wait_until(page, lambda: bool(shell.sizes) and shell.sizes[-1][0] < wide["columns"])
    columns, rows = shell.sizes[-1]
    expect(page.locator("[data-terminal-size]")).to_have_text(f"{columns} × {rows}")


def test_a_lost_connection_goes_on_where_it_broke(page: Page, shell: FakeShell) -> None:
    shell.prints(b"before ")
    expect(page.locator(SCREEN)).to_contain_text("before")
    shell.drops()
    expect(page.locator(STATE)).to_have_text("Connected")
    wait_until(page, lambda: len(shell.opened) == 2)
    assert shell.opened[1]["exec_id"] == shell.opened[0]["exec_id"]
    assert shell.opened[1]["stdout_offset"] == len(shell.printed)
    shell.prints(b"after")
    expect(page.locator(SCREEN)).to_contain_text("before after")


def test_a_reload_comes_back_to_the_same_shell_and_answers_no_question_twice(
    page: Page, shell: FakeShell
) -> None:
    shell.prints(b"asked: \x1b[c done")  # what kind of terminal is this?
    expect(page.locator(SCREEN)).to_contain_text("done")
    wait_until(page, lambda: shell.typed.endswith(b"c"))
    answer = shell.typed
    page.reload()
    expect(page.locator(SCREEN)).to_contain_text("asked:  done")
    assert shell.opened[1]["exec_id"] == shell.opened[0]["exec_id"]
    assert shell.opened[-1]["stdout_offset"] == 0
    page.keyboard.type("x")
    wait_until(page, lambda: shell.typed != answer)
    assert shell.typed == answer + b"x"


def test_copying_and_pasting(page: Page, shell: FakeShell) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    shell.prints(b"copyme")
    expect(page.locator(SCREEN)).to_contain_text("copyme")
    page.dblclick("[data-terminal] .xterm-screen", position={"x": 20, "y": 8})
    page.keyboard.press("Control+Shift+C")
    assert page.evaluate("navigator.clipboard.readText()") == "copyme"
    page.keyboard.press("Control+C")  # stays the shell's
    wait_until(page, lambda: shell.typed == b"\x03")

    page.evaluate("navigator.clipboard.writeText('one\\ntwo')")
    shell.prints(b"\x1b[?2004h$ ")  # a program that wants to know what is pasted
    expect(page.locator(SCREEN)).to_contain_text("$")
    page.keyboard.press("Control+Shift+V")
    wait_until(page, lambda: b"two" in shell.typed)
    assert shell.typed == b"\x03\x1b[200~one\rtwo\x1b[201~"


def test_the_keyboard_gets_out(page: Page, shell: FakeShell) -> None:
    expect(page.locator("[data-terminal] textarea")).to_be_focused()
    page.keyboard.press("Tab")
    wait_until(page, lambda: shell.typed == b"\t")
    page.keyboard.press("Control+Shift+E")
    expect(page.locator("#tab-terminal")).to_be_focused()
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#panel-output")).to_be_visible()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#panel-terminal")).to_be_visible()
    expect(page.locator("#tab-terminal")).to_be_focused()
    assert shell.typed == b"\t"


def test_ends_and_refusals_are_said_and_the_next_shell_is_a_new_one(page: Page, shell: FakeShell) -> None:
    shell.prints(b"bye")
    shell.ends(3, "exited")
    expect(page.locator("[data-terminal-over]")).to_have_text("The shell ended with exit code 3.")
    expect(page.locator(STATE)).to_have_text("Ended")
    page.click("[data-terminal-again]")
    expect(page.locator(STATE)).to_have_text("Connected")
    assert shell.opened[1]["exec_id"] != shell.opened[0]["exec_id"]

    shell.tell(type="error", error="There is no sandbox.", code="cannot_wake", remediation="Run a job.")
    shell.drops(4409)
    expect(page.locator("[data-terminal-over]")).to_have_text("There is no sandbox. Run a job.")
    expect(page.locator("[data-terminal-again]")).to_be_visible()


def test_a_flood_is_acknowledged_and_ends_on_the_screen(page: Page, shell: FakeShell) -> None:
    for number in range(64):
        shell.prints(b"".join(b"line %d\r\n" % (number * 1000 + line) for line in range(1000)))
    expect(page.locator(SCREEN)).to_contain_text("line 63999")
    wait_until(page, lambda: shell.acknowledged > len(shell.printed) - 2 * 64 * 1024)


def test_a_job_whose_sandbox_is_its_own_has_no_terminal(open_page: Open) -> None:
    owner = user()
    page = open_page(owner, f"/jobs/{factories.job(owner).pk}/#terminal")
    expect(page.locator("#tab-timeline")).to_be_visible()
    expect(page.locator("#tab-terminal")).to_have_count(0)
    expect(page.locator("#panel-output")).to_be_visible()
