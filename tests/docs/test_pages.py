"""How blocks that are executed are told from the others."""

from __future__ import annotations

import pytest

from tests.docs.pages import Command, blocks_of, commands, fits

PAGE = """
```bash run
mags list
```
```text output
nothing yet
```
```python file=a/b.py
print(1)
```
```sh
not executed
```
"""


def test_blocks_are_told_apart() -> None:
    script, file = blocks_of(PAGE, "page.md")
    assert (script.language, script.text, script.expected) == ("bash", "mags list\n", "nothing yet\n")
    assert (file.file, file.text, file.expected) == ("a/b.py", "print(1)\n", None)
    assert script.place == "page.md:2"


@pytest.mark.parametrize("info", ["bash rnu", "toml run", "bash run twice"])
def test_what_nobody_understands_is_refused(info: str) -> None:
    with pytest.raises(ValueError, match=r"page.md:1"):
        blocks_of(f"```{info}\nx\n```\n", "page.md")


def test_commands_go_on_behind_a_bracket() -> None:
    text = "$ cat <<END\n> one\n> END\none\n> two\n$ true\n"
    assert commands(text) == [Command("cat <<END\none\nEND", "one\n> two"), Command("true", "")]


@pytest.mark.parametrize(
    ("expected", "printed", "does_fit"),
    [
        ("a\nb", "a\nb\n", True),
        ("a\nb", "a\nb\nc\n", False),
        ("a", "ab\n", False),
        ("a...", "ab\n", True),
        ("a...", "ab\nc\n", False),
        ("a ... c", "a b c", True),
        ("a\n...\nc", "a\nb\nb\nc", True),
        ("a\n...\nc", "a\nc", True),
        ("a.c", "abc", False),
        ("", "something", False),
        ("", "", True),
    ],
)
def test_what_is_printed_has_to_fit(expected: str, printed: str, does_fit: bool) -> None:
    assert fits(expected, printed) is does_fit
